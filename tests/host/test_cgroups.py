import sys

import pytest

from procsup.host.cgroups import Limits, read_limits

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="control groups are Linux'")


class Groups:
    """A made-up /proc/self and the control groups that it points to."""

    def __init__(self, folder):
        self.proc = folder / "proc"
        self.mounted = folder / "cg root"  # mountinfo writes the blank as \040
        self.proc.mkdir()

    def member(self, *lines):
        (self.proc / "cgroup").write_text("".join(f"{line}\n" for line in lines))

    def mount(self, kind, point, options, root="/"):
        path = str(self.mounted / point).replace(" ", "\\040")
        line = f"30 24 0:26 {root} {path} rw,nosuid shared:4 - {kind} {kind} {options}\n"
        with (self.proc / "mountinfo").open("a") as file:
            file.write("22 1 8:1 / / rw - ext4 /dev/sda rw\n" + line)

    def put(self, path, **files):
        folder = self.mounted / path
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name.replace("__", ".")).write_text(text + "\n")

    def limits(self):
        return read_limits(str(self.proc))


@pytest.fixture
def groups(tmp_path):
    return Groups(tmp_path)


def test_version_2_gives_a_quota_and_the_smaller_of_max_and_high(groups):
    groups.member("0::/user/job")
    groups.mount("cgroup2", "u", "rw")
    groups.put("u/user/job", cpu__max="150000 100000", memory__max="4096", memory__high="2048")

    assert groups.limits() == Limits(1.5, 2048)


def test_a_limit_of_any_ancestor_holds(groups):
    groups.member("0::/a/b/c")
    groups.mount("cgroup2", "u", "rw")
    groups.put("u/a/b/c", cpu__max="max 100000", memory__max="max")
    groups.put("u/a", cpu__max="200000 100000", memory__max="1000")
    groups.put("u/a/b", cpu__max="400000 100000", memory__max="5000")

    assert groups.limits() == Limits(2.0, 1000)


def test_version_1_is_read_by_controller(groups):
    groups.member("5:memory:/m/x", "4:cpu,cpuacct:/c", "0::/")
    groups.mount("cgroup", "cpu", "rw,cpu,cpuacct")
    groups.mount("cgroup", "mem", "rw,memory")
    groups.put("cpu/c", cpu__cfs_quota_us="50000", cpu__cfs_period_us="100000")
    groups.put("mem/m/x", memory__limit_in_bytes="9223372036854771712")
    groups.put("mem/m", memory__limit_in_bytes="123456")

    assert groups.limits() == Limits(0.5, 123456)


def test_no_limit_is_none(groups):
    groups.member("4:cpu:/c", "0::/x")
    groups.mount("cgroup", "cpu", "rw,cpu")
    groups.mount("cgroup2", "u", "rw")
    groups.put("cpu/c", cpu__cfs_quota_us="-1", cpu__cfs_period_us="100000")
    groups.put("u/x", cpu__max="max 100000", memory__max="max")

    assert groups.limits() == Limits(None, None)


def test_a_container_mounts_its_own_group_as_the_root(groups):
    groups.member("0::/docker/abc/job")
    groups.mount("cgroup2", "u", "rw", root="/docker/abc")
    groups.put("u/job", memory__max="77")
    groups.put("u", memory__max="99")

    assert groups.limits() == Limits(None, 77)


def test_a_group_outside_of_what_is_mounted_falls_back_to_the_mount(groups):
    groups.member("0::/../other")
    groups.mount("cgroup2", "u", "rw")
    groups.put("u", memory__max="99")

    assert groups.limits() == Limits(None, 99)


@pytest.mark.parametrize("text", ["", "rubbish", "1 2 3 - cgroup2\n:::\n", "\n\n"])
def test_rubbish_is_no_limit(groups, text):
    (groups.proc / "cgroup").write_text(text)
    (groups.proc / "mountinfo").write_text(text)

    assert groups.limits() == Limits(None, None)


def test_empty_limit_files_are_no_limit(groups):
    groups.member("0::/x")
    groups.mount("cgroup2", "u", "rw")
    groups.put("u/x", cpu__max="", memory__max="")

    assert groups.limits() == Limits(None, None)


def test_without_proc_there_is_no_limit(tmp_path):
    assert read_limits(str(tmp_path / "nowhere")) == Limits(None, None)
