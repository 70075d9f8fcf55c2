# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""The writers that people use, one a row, and how each is run.

A writer gets Puts, each of a source over a target, and says of each whether it worked. A
row is a line for bash that finds SRC, DST, DIR (of DST), FROM (of SRC) and FILE (the last
part of both) in its environment, and runs in a folder of its own; a writer that needs
more is a function. Its Site says where it runs: on certfs, on ext4, or on an ext4 that has
no room left at the moment in which the target is closed or renamed over.
"""

import contextlib
import dataclasses
import json
import os
import shlex
import shutil
import subprocess
import sys

from ports import free_port, listens
from service import Service
from terminal import Terminal
from waiting import LIMIT_S

USER, GROUP = 12345, 12346


@dataclasses.dataclass(frozen=True)
class Put:
    source: str
    target: str

    @property
    def file(self):
        return os.path.basename(self.target)

    @property
    def folder(self):
        return os.path.dirname(self.target)


@dataclasses.dataclass(frozen=True)
class Done:
    worked: bool
    said: str = ""
    left: tuple = ()  # in the folder that it ran in


class Site:
    """Where writers run. `full`: what they close or rename over the target fails with
    ENOSPC, as it does where room is reserved that late (NFS, quotas). strace knows only
    the first name of a rename(2), so that for those who call it the target can't be
    renamed over at all."""

    LAST = "close,renameat,renameat2"

    def __init__(self, folder, sshd, full=False):
        self.work, self.full, self.sshd = f"{folder}/work", full, sshd

    def _prefix(self, targets, read):
        """`read`: so many times the writer closes the file before it writes to it."""
        if not self.full:
            return []
        names = {*targets, *map(os.path.basename, targets)}  # after a chdir
        return ["strace", "-f", "-qq", "-o", "/dev/null", "--seccomp-bpf",
                *(part for name in names for part in ("-P", name)),
                "-e", f"trace={self.LAST}",
                "-e", f"inject={self.LAST}:error=ENOSPC:when={read + 1}+"]

    @contextlib.contextmanager
    def _nothing_over(self, puts):
        """Nobody can rename(2) over a mount point."""
        paths = [put.target for put in puts] if self.full else []
        try:
            for path in paths:
                subprocess.run(["mount", "--bind", path, path], check=True)
            yield
        finally:
            for path in paths:
                subprocess.run(["umount", "-l", path], check=True)

    def prepare(self, puts, read=0):
        """The command's beginning, its environment; the folder to work in is empty."""
        shutil.rmtree(self.work, ignore_errors=True)
        os.makedirs(self.work)
        prefix = self._prefix([put.target for put in puts], read)
        with open(self.sshd.inject, "w", encoding="utf-8") as file:
            file.write(shlex.join(prefix))
        first = puts[0]
        env = {"PATH": os.environ["PATH"], "HOME": self.work, "LC_ALL": "C.UTF-8",
               "TERM": "ansi", "TMPDIR": self.work, "SSH": self.sshd.config,
               "PYTHON": sys.executable, "SRC": first.source,
               "DST": first.target, "DIR": first.folder, "FILE": first.file,
               "FROM": os.path.dirname(first.source)}
        return prefix, env

    def run(self, puts, argv, renames=False):
        prefix, env = self.prepare(puts)
        if renames:
            prefix = []
        with self._nothing_over(puts) if renames else contextlib.nullcontext():
            done = subprocess.run([*prefix, *argv], cwd=self.work, env=env, check=False,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, timeout=LIMIT_S)
        return done.returncode, done.stdout.decode(errors="replace")

    def terminal(self, put, argv, read=0):
        prefix, env = self.prepare([put], read)
        return Terminal([*prefix, *argv], env, self.work)


def line(text, renames=False):
    """The writer that a line for bash is, for one file after the other."""
    def write(site, puts):
        done = []
        for put in puts:
            status, said = site.run([put], ["bash", "-o", "pipefail", "-c", text],
                                    renames)
            done.append(Done(status == 0, said.replace(put.folder, "DIR"),
                             tuple(sorted(os.listdir(site.work)))))
        return done
    return write


def python(text, renames=False):
    code = f"import os, shutil, sys\nsource, target = sys.argv[1:]\n{text}"
    return line(f'"$PYTHON" -c {shlex.quote(code)} "$SRC" "$DST"', renames)


def one_by_one(write):
    return lambda site, puts: [write(site, put) for put in puts]


@one_by_one
def vim(site, put):
    """It stays when it could not write, and is then ended as one that failed."""
    script = f"{site.work}.keys"
    with open(script, "w", encoding="utf-8") as file:
        file.write(f":%d _\r:0r {put.source}\r:$d _\r:wq\r:cq!\r")
    with site.terminal(put, ["vim.tiny", "-u", "NONE", "-N", "-s", script, put.target]) as vi:
        return Done(vi.end() == 0)


@one_by_one
def nano(site, put):
    with site.terminal(put, ["nano", "-I", put.target], read=1) as editor:
        editor.expect(b"Exit")
        editor.type(b"\x1bt")  # cut all
        editor.type(b"\x12")
        editor.expect(b"insert")
        editor.type(put.source.encode() + b"\r")
        editor.expect(b"Read ")
        editor.type(b"\x13")
        said = editor.expect(b"Wrote ", b"Error writing")
        editor.type(b"\x18")
        if said != b"Wrote ":
            editor.expect(b"Save modified buffer")
            editor.type(b"n")
        editor.end()
        return Done(said == b"Wrote ")


def ansible(module):
    """One playbook for all, since it is the playbook's start that takes long."""
    def write(site, puts):
        play, told = f"{site.work}.play.json", f"{site.work}.told.json"
        loop = [{"src": put.source, "dest": put.target} for put in puts]
        tasks = [{f"ansible.builtin.{module}": {"src": "{{ item.src }}",
                                                "dest": "{{ item.dest }}"},
                  "loop": loop, "register": "told", "ignore_errors": True},
                 {"ansible.builtin.copy": {"content": "{{ told.results | to_json }}",
                                           "dest": told}}]
        with open(play, "w", encoding="utf-8") as file:
            json.dump([{"hosts": "localhost", "gather_facts": False, "connection": "local",
                        "vars": {"ansible_python_interpreter": sys.executable},
                        "tasks": tasks}], file)
        status, said = site.run(puts, ["ansible-playbook", "-i", "localhost,", play],
                                renames=True)
        assert status == 0, said
        with open(told, encoding="utf-8") as file:
            return [Done(not one.get("failed"), "changed" if one.get("changed") else "ok")
                    for one in json.load(file)]
    return write


def rsync(options, target="$DST"):
    """Why a file is sent depends on what was there; that it is sent does not."""
    return line(f'rsync -ai {options} "$SRC" "{target}" | sed "s/^>f.\\{{9\\}}/sent/"')


REPLACE = """
new = target + ".new"
with open(source, "rb") as file, open(new, "wb") as out:
    shutil.copyfileobj(file, out)
    out.flush()
    os.fsync(out.fileno())
os.replace(new, target)
"""
# src/core/exec-credential.c, write_credential()
LOAD_CREDENTIAL = """
new = os.path.join(os.path.dirname(target), ".#cred0123456789abcdef")
flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_EXCL | os.O_NOFOLLOW | os.O_NOCTTY
fd = os.open(new, flags, 0o600)
with open(source, "rb") as file:
    os.write(fd, file.read())
os.fchmod(fd, 0o400)
os.fchown(fd, 12345, 12346)
os.rename(new, target)
os.close(fd)
"""
GIT = """
git init -q new && cp "$SRC" new/"$FILE" && cd new && git add . &&
git -c user.name=t -c user.email=t@example.com commit -qm 1 &&
git --work-tree="$DIR" checkout -qf HEAD -- "$FILE"
"""
# Below /tmp emacs makes no backups by itself. It has a .emacs.d once it was at a terminal.
EMACS = """
mkdir .emacs.d
emacs --batch -Q --eval "(setq backup-enable-predicate 'identity %s)" "$DST" \\
	--eval '(progn (erase-buffer) (insert-file-contents-literally (getenv "SRC"))
			(save-buffer))'
"""
OPENSSL = """
case $FILE in
privkey.pem) openssl pkey -in "$SRC" -out "$DST" ;;
*) openssl x509 -in "$SRC" -out "$DST" ;;
esac
"""


@dataclasses.dataclass(frozen=True)
class Writer:
    """`write` (site, puts) -> [Done].
    `keeps`: it makes the file anew and does not set these, so that ext4 shows what the
    umask left of them; on certfs the file keeps what it had.
    `moves_away`: it renames the file that is there to one beside it, before it writes the new
    one. On certfs only the second step fails, and leaves what the first one has made; on a
    full ext4 the first one fails already.
    `goes_on`: it sets mode and owner by name even when its close has failed.
    `twice`: a second run must find nothing to do.
    `certificate`: the file that it writes a certificate to; `combined`: can it write one
    with both? `slow`: each order and each kind of directory once, not all of both."""

    name: str
    write: object
    keeps: tuple = ()
    moves_away: bool = False
    goes_on: bool = False
    twice: bool = False
    certificate: str = "fullchain.pem"
    combined: bool = True
    slow: bool = False


ALL = ("mode", "owner")
WRITERS = [
    Writer("cp", line('cp "$SRC" "$DST"')),
    Writer("cp -p", line('cp -p "$SRC" "$DST"')),
    Writer("cp --remove-destination", line('cp --remove-destination "$SRC" "$DST"'),
           keeps=ALL),
    Writer("cp --reflink=auto", line('cp --reflink=auto "$SRC" "$DST"')),
    Writer("install -m -o -g", line(f'install -m 440 -o {USER} -g {GROUP} "$SRC" "$DST"')),
    Writer("mv from another filesystem", line('cp -p "$SRC" new && mv new "$DST"')),
    Writer("mv from a scratch file", line('cp -p "$SRC" "$DST.new" && mv "$DST.new" "$DST"')),
    Writer("rsync -a", rsync(""), twice=True),
    Writer("rsync -a --inplace", rsync("--inplace"), twice=True),
    Writer("rsync -a --delay-updates", rsync("--delay-updates", "$DIR/"),
           twice=True),
    Writer("rsync -a --checksum", rsync("--checksum"), twice=True),
    Writer("scp", line('scp -q -F "$SSH" "$SRC" "sshd:$DST"'), slow=True),
    Writer("scp -p", line('scp -qp -F "$SSH" "$SRC" "sshd:$DST"'), slow=True),
    Writer("sftp put", line('sftp -q -F "$SSH" -b - sshd <<<"put $SRC $DST"'), slow=True),
    Writer("tee", line('tee "$DST" <"$SRC" >/dev/null')),
    Writer("dd", line('dd if="$SRC" of="$DST" status=none')),
    Writer("dd conv=fsync", line('dd if="$SRC" of="$DST" conv=fsync status=none')),
    Writer("cat >", line('cat "$SRC" >"$DST"')),
    Writer("cat > and >>", line('cat "$SRC" >"$DST" && echo "# renewed" >>"$DST"')),
    Writer("bash's echo >", line('echo "$(<"$SRC")" >"$DST"')),
    Writer("sed -i", line('sed -i -e "1r $SRC" -e d "$DST"')),
    Writer("perl -i", line("perl -i -ne 'if ($. == 1) { open F, $ENV{SRC}; print <F> }' "
                           '"$DST"')),
    Writer("sed -i.bak", line('sed -i.bak -e "1r $SRC" -e d "$DST"'), moves_away=True),
    Writer("perl -i.bak", line("perl -i.bak -ne 'if ($. == 1) { open F, $ENV{SRC}; print <F> }' "
                               '"$DST"'), moves_away=True),
    Writer("vim", vim),
    Writer("nano", nano),
    Writer("emacs --batch", line(EMACS % ""), slow=True, moves_away=True),
    Writer("emacs --batch, backup-by-copying", line(EMACS % "backup-by-copying t"),
           slow=True),
    Writer("python's open, write, close",
           python("open(target, 'wb').write(open(source, 'rb').read())")),
    Writer("shutil.copy2", python("shutil.copy2(source, target)")),
    Writer("os.replace with fsync", python(REPLACE, renames=True), keeps=ALL),
    Writer("ansible copy", ansible("copy"), twice=True, slow=True),
    Writer("ansible template", ansible("template"), twice=True, slow=True),
    Writer("openssl -out", line(OPENSSL), certificate="cert.pem", combined=False),
    Writer("tar -x", line('tar -C "$FROM" -c "$FILE" | tar -C "$DIR" -x'),
           keeps=("mode of a key",)),
    Writer("unzip", line('(cd "$FROM" && zip -q - "$FILE") >new.zip && '
                         'unzip -qo new.zip -d "$DIR"'), keeps=("owner",)),
    Writer("git checkout", line(GIT), keeps=ALL),
    Writer("busybox cp", line('busybox cp "$SRC" "$DST"')),
    Writer("busybox mv", line('cp -p "$SRC" new && busybox mv new "$DST"'),
           goes_on=True),
    Writer("LoadCredential", python(LOAD_CREDENTIAL, renames=True)),
    Writer("curl -o", line('curl -sS -o "$DST" "file://$SRC"')),
]


class Sshd(Service):
    """A local sshd with keys of its own; `config` is the client's. The words in the file
    `inject` are put before sftp-server."""

    SERVER = "/usr/lib/openssh/sftp-server"

    def __init__(self, folder):
        self.port, self.config = free_port(), f"{folder}/ssh.conf"
        self.inject = f"{folder}/inject"
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f",
                            f"{folder}/{name}.key"], check=True)
        self._write(f"{folder}/sftp-server",
                    f'#!/bin/sh\neval "exec $(cat {self.inject}) {self.SERVER}"\n')
        os.chmod(f"{folder}/sftp-server", 0o755)
        server = f"{folder}/sshd.conf"
        self._write(server, f"ListenAddress 127.0.0.1:{self.port}\nStrictModes no\n"
                            f"HostKey {folder}/host.key\nPidFile none\nUsePAM {self._pam()}\n"
                            f"AuthorizedKeysFile {folder}/user.key.pub\n"
                            "PermitRootLogin yes\n"
                            f"Subsystem sftp {folder}/sftp-server\n")
        self._write(self.config, f"Host sshd\nHostName 127.0.0.1\nPort {self.port}\n"
                                 f"User root\nIdentityFile {folder}/user.key\n"
                                 "IdentitiesOnly yes\nBatchMode yes\nLogLevel ERROR\n"
                                 "StrictHostKeyChecking no\nUserKnownHostsFile /dev/null\n")
        os.makedirs("/run/sshd", exist_ok=True)  # made by Debian's init otherwise
        super().__init__("sshd", ["/usr/sbin/sshd", "-D", "-e", "-f", server],
                         f"{folder}/sshd.log")

    @staticmethod
    def _write(path, text):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    @staticmethod
    def _pam():
        """Without PAM a locked account may not come in at all, with a key either."""
        entry = subprocess.run(["getent", "shadow", "root"], capture_output=True, text=True,
                               check=True).stdout
        return "yes" if entry.split(":")[1].startswith("!") else "no"

    def start(self, ready=None):
        return super().start(ready or (lambda: listens(self.port)))
