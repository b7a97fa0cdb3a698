<#
The PowerShell way: start a run in the background, wait for one of its stages, go on only if it
is good. Every way in which it can end differently has an exit code of its own.

    powershell -File scripts/pipeline.ps1 [SECONDS]     # wait at most so long (default 600)

The environment variable PROCSUP: the command to use (default: procsup).
#>
param([string] $Limit = '600')

Set-StrictMode -Version 2
$ErrorActionPreference = 'Stop'
try { Set-Location -LiteralPath (Split-Path -Parent $PSScriptRoot) } catch { exit 2 }
$words = @('procsup')
if ($env:PROCSUP) { $words = @($env:PROCSUP -split ' ') }
$program = $words[0]
$first = @($words | Select-Object -Skip 1)
if (-not (Get-Command $program -ErrorAction SilentlyContinue)) {
    Write-Output "$program is not found"
    exit 127
}
$results = 'configs/out/stdlib-survey'

# Its exit code is in $LASTEXITCODE: a program that fails is no error to PowerShell.
function procsup_ { & $program @first @args }

# Returns when the run holds its lock; what it prints names this very run, from anywhere.
$id = procsup_ run configs/stdlib-survey.toml --detach
if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }
Write-Output "started $id"

procsup_ wait "$id" --stage measure --timeout "$Limit"
$code = $LASTEXITCODE
switch ($code) {
    0       { Write-Output 'measure: every unit succeeded' }
    1       { Write-Output "measure: finished, but some unit did not succeed; see: procsup logs `"$id`" --failed" }
    3       { Write-Output ('measure: not finished, and no supervisor works on it (stopped, interrupted, or the' +
                            ' supervisor died); to go on: procsup run configs/stdlib-survey.toml') }
    124     { Write-Output "measure: not finished after $Limit s; it goes on. To end it: procsup stop `"$id`"" }
    default { Write-Output "measure: procsup wait said $code" }
}
if ($code -ne 0) { exit $code }

# Downstream: only now, and only on what the stage's manifest vouches for (one unit a line).
$directory = $id.Substring(0, $id.LastIndexOf('@'))
$manifest = Join-Path $directory 'stages/measure.json'
$vouched = @(Select-String -LiteralPath $manifest -SimpleMatch '"verdict":"succeeded"').Count
Write-Output "downstream: $vouched measurements to work on"

# The run has one more stage; its end is another wait.
procsup_ wait "$id" --timeout "$Limit"
if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }
Write-Output "table: $results/report.csv"
