"""A small PMI-1 server that starts ranks and kills nobody, so that what the library does about a dead rank can be seen.

Each rank gets one end of a socket pair as PMI_FD. The protocol is MPICH's PMI-1: lines of k=v.
"""
import os
import socket
import subprocess
import sys
import threading

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "job"))
from job import FOREIGN, kill, marked  # noqa: E402


class MiniPmi:
    """`size` ranks of `command`; start() them one by one or all."""

    def __init__(self, command, size, env, folder):
        self.command, self.size, self.folder = command, size, folder
        self.environ = {k: v for k, v in os.environ.items() if not k.startswith(FOREIGN)}
        self.environ.update(env)
        self.mark = "FAULT_MARK=" + os.path.basename(folder)
        key, _, value = self.mark.partition("=")
        self.environ[key] = value
        self.processes = {}
        self.values = {}
        self.inside = []  # sockets of the ranks that wait in the barrier
        self.lock = threading.Lock()

    def start(self, rank):
        ours, theirs = socket.socketpair()
        environ = dict(self.environ, PMI_FD=str(theirs.fileno()), PMI_RANK=str(rank), PMI_SIZE=str(self.size))
        with open(self.path(rank, "out"), "wb") as out, open(self.path(rank, "err"), "wb") as err:
            self.processes[rank] = subprocess.Popen(self.command, env=environ, stdin=subprocess.DEVNULL, stdout=out,
                                                    stderr=err, pass_fds=[theirs.fileno()], start_new_session=True)
        theirs.close()
        threading.Thread(target=self._serve, args=(ours,), daemon=True).start()

    def start_all(self):
        for rank in range(self.size):
            self.start(rank)

    def path(self, rank, kind):
        return os.path.join(self.folder, f"rank{rank}.{kind}")

    def text(self, rank, kind):
        with open(self.path(rank, kind), errors="replace") as file:
            return file.read()

    def wait(self, rank, limit):
        """The exit code (negative: the signal), or None if the rank does not end in time."""
        try:
            return self.processes[rank].wait(limit)
        except subprocess.TimeoutExpired:
            return None

    def close(self):
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
            process.wait()
        kill(pid for pid, _, _ in marked(self.mark))

    def _serve(self, sock):
        try:
            with sock, sock.makefile("r") as lines:
                for line in lines:
                    answer = self._answer(sock, line.strip())
                    if answer:
                        sock.sendall((answer + "\n").encode())
        except OSError:  # the rank has died; the others are to find out by themselves
            pass

    def _answer(self, sock, line):
        fields = dict(word.partition("=")[::2] for word in line.split())
        command = fields.get("cmd")
        if command == "init":
            return "cmd=response_to_init pmi_version=1 pmi_subversion=1 rc=0"
        if command == "get_maxes":
            return "cmd=maxes kvsname_max=256 keylen_max=64 vallen_max=1024"
        if command == "get_my_kvsname":
            return "cmd=my_kvsname kvsname=mini"
        if command == "get_appnum":
            return "cmd=appnum appnum=0"
        if command == "get_universe_size":
            return f"cmd=universe_size size={self.size}"
        if command == "put":
            with self.lock:
                self.values[fields["key"]] = line.partition(" value=")[2]
            return "cmd=put_result rc=0 msg=success"
        if command == "get":
            with self.lock:
                value = self.values.get(fields["key"])
            if fields["key"] == "PMI_process_mapping":
                value = f"(vector,(0,1,{self.size}))"
            if value is None:
                return f"cmd=get_result rc=-1 msg=key_{fields['key']}_not_found value=unknown"
            return f"cmd=get_result rc=0 msg=success value={value}"
        if command == "barrier_in":
            with self.lock:
                self.inside.append(sock)
                if len(self.inside) < self.size:
                    return None
                for other in self.inside:
                    try:
                        other.sendall(b"cmd=barrier_out\n")
                    except OSError:
                        pass
                self.inside = []
            return None
        if command == "finalize":
            return "cmd=finalize_ack"
        return None  # abort, or something unknown: nothing
