# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's kernels in QEMU, with what a test needs in their initramfs: a Python program as init, tproxyd, the stand-in.

    kernel = vm.fetch("6.1", directory)
    said = vm.boot(kernel, directory, without=("ip_tables", "nft_redir"), files={…})
"""

import glob
import gzip
import os
import re
import shutil
import stat
import subprocess
import sys

# The release of Debian that has a kernel; its image for clouds is small, and modular throughout.
RELEASES = {"5.10": "bullseye", "6.1": "bookworm", "6.12": "trixie"}
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
QEMU = "qemu-system-x86_64"
PROGRAMS = ("sh", "ip", "nft", "kmod")
PYTHON = f"/usr/lib/python{sys.version_info.major}.{sys.version_info.minor}"
NOT_OF_PYTHON = ("__pycache__", "dist-packages", "ensurepip", "idlelib", "lib2to3", "pydoc_data", "test", "unittest", "config-*")
# Everything of the network, and what that is made of.
MODULES = ("net", "lib", "crypto", "arch/x86/crypto", "drivers/net/veth.ko*")
LIMIT = 600  # seconds for a whole run: KVM is not there, or not whole, where machines are virtual themselves


class Unavailable(Exception):
    """Why there is no kernel to boot."""


def run(*argv, **options):
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True, **options).stdout


def mirror():
    """Where this host gets Debian from."""
    if not shutil.which("apt-get") or not os.path.exists(KEYRING):
        raise Unavailable("this host is no Debian: there are no kernels to fetch")
    for line in run("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages").splitlines():
        if line.rstrip("/").endswith("/debian"):
            return line
    raise Unavailable("apt knows no mirror of Debian")


def fetch(series, directory):
    """A directory with one kernel's boot/ and lib/modules/."""
    target = f"{directory}/{series}"
    lists = f"{target}/apt/lists"
    os.makedirs(f"{lists}/partial")
    with open(f"{target}/apt/sources.list", "w", encoding="utf-8") as file:
        file.write(f"deb [signed-by={KEYRING}] {mirror()} {RELEASES[series]} main\n")
    apt = ("-q", "-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Cache={target}/apt", "-o",
           f"Dir::Etc::SourceList={target}/apt/sources.list", "-o", "Dir::Etc::SourceParts=/dev/null", "-o",
           "APT::Sandbox::User=root", "-o", "Acquire::Languages=none")
    try:
        run("apt-get", *apt, "update", stderr=subprocess.STDOUT)
        names = run("apt-cache", *apt, "pkgnames", f"linux-image-{series}.").split()
        name = max((name for name in names if name.endswith("-cloud-amd64")),
                   key=lambda name: [int(number) for number in re.findall(r"\d+", name)], default=None)
        if name is None:
            raise Unavailable(f"the mirror has no kernel {series} of {RELEASES[series]}")
        run("apt-get", *apt, "download", name, cwd=target, stderr=subprocess.STDOUT)
    except subprocess.CalledProcessError as error:
        raise Unavailable(f"no kernel {series}: {' '.join(error.cmd[:2])} failed") from error
    [package] = glob.glob(f"{target}/*.deb")
    run("dpkg-deb", "--extract", package, f"{target}/root")
    return f"{target}/root"


def libraries(paths):
    found = set()
    for path in paths:
        listed = subprocess.run(["ldd", path], check=False, capture_output=True, text=True).stdout
        found |= set(re.findall(r"(/\S+) \(0x", listed))
    return found


class Tree:
    """A root directory to be, by path in it; links are followed."""

    def __init__(self):
        self.files = {}

    def add(self, path, source=None, mode=None, text=None):
        if text is None:
            with open(source or path, "rb") as file:
                data = file.read()
            mode = mode or stat.S_IMODE(os.stat(source or path).st_mode)
        else:
            data = text.encode()
        self.files[path] = (stat.S_IFREG | (mode or 0o644), data)

    def link(self, path, target):
        self.files[path] = (stat.S_IFLNK | 0o777, target.encode())

    def add_directory(self, source, target=None, leave_out=()):
        ignore = shutil.ignore_patterns(*leave_out)
        for directory, names, files in os.walk(source):
            skipped = ignore(directory, names + files)
            names[:] = [name for name in names if name not in skipped]
            for name in files:
                path = os.path.join(directory, name)
                if name not in skipped and os.path.exists(path):
                    self.add((target or source) + path[len(source):], path)

    def pack(self, path):
        """As the kernel wants it: cpio's format newc (Documentation/driver-api/early-userspace/buffer-format.rst)."""
        directories = set()
        for name in self.files:
            while name := os.path.dirname(name).rstrip("/"):
                directories.add(name)
        entries = [(name, stat.S_IFDIR | 0o755, b"") for name in sorted(directories)]
        entries += [(name, *self.files[name]) for name in self.files] + [("TRAILER!!!", 0, b"")]
        with gzip.open(path, "wb", compresslevel=1) as out:
            for number, (name, mode, data) in enumerate(entries, 1):
                name = name.lstrip("/").encode() + b"\0"
                fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0)
                head = b"070701" + b"".join(b"%08x" % field for field in fields) + name
                out.write(head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4))


def modules(tree, kernel, directory, without):
    """The modules but those left out, and what depends on these; their index is made anew."""
    [source] = glob.glob(f"{kernel}/lib/modules/*") or glob.glob(f"{kernel}/usr/lib/modules/*")
    version = os.path.basename(source)
    target = f"{directory}/modules/lib/modules/{version}"
    for part in MODULES:
        for path in glob.glob(f"{source}/kernel/{part}"):
            place = f"{target}/kernel/{os.path.relpath(path, f'{source}/kernel')}"
            os.makedirs(os.path.dirname(place), exist_ok=True)
            if os.path.isdir(path):
                shutil.copytree(path, place)
            else:
                shutil.copy(path, place)
    for name in without:
        for path in glob.glob(f"{target}/kernel/**/{name}.ko*", recursive=True):
            os.unlink(path)
    for path in glob.glob(f"{source}/modules.*"):
        shutil.copy(path, target)
    run("depmod", "-b", f"{directory}/modules", version, stderr=subprocess.DEVNULL)
    tree.add_directory(f"{directory}/modules/lib", "/lib")


def boot(kernel, directory, init, files, without=()):
    """Runs the Python program init (its path) in the guest, and returns what it and the kernel said.

    files: what the guest has besides, {its path: path here}; without: modules that its kernel does not have."""
    tree = Tree()
    programs = ["/usr/bin/python3"] + [shutil.which(name) for name in PROGRAMS]
    extensions = glob.glob(f"{PYTHON}/lib-dynload/*.so")
    for path in programs:
        tree.add(f"/bin/{os.path.basename(path)}", path)
    for path in libraries(programs + extensions + [path for path in files.values() if os.path.isfile(path)]):
        tree.add(path)
    tree.add_directory(PYTHON, leave_out=NOT_OF_PYTHON)
    tree.link("/usr/bin", "../bin")
    tree.link("/sbin", "bin")
    tree.link("/bin/modprobe", "kmod")
    for path, source in files.items():
        if os.path.isdir(source):
            tree.add_directory(source, path, leave_out=("__pycache__",))
        else:
            tree.add(path, source)
    tree.add("/init", init, mode=0o755)
    modules(tree, kernel, directory, without)
    tree.pack(f"{directory}/initramfs")
    [image] = glob.glob(f"{kernel}/boot/vmlinuz-*")
    machine = ["-machine", "pc,accel=tcg", "-cpu", "max", "-smp", "1", "-m", "1024"]
    quiet = ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio"]
    return run(QEMU, *machine, *quiet, "-kernel", image, "-initrd", f"{directory}/initramfs", "-append",
               "console=ttyS0 panic=-1 loglevel=4", timeout=LIMIT, stdin=subprocess.DEVNULL)
