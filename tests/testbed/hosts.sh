#!/bin/bash
# Fake hosts h1..hN on one machine, for tests between hosts. Root is needed.
#
#   hosts.sh up [N]            make them (default 3) and start an sshd in each; `ssh hK command` then works from each
#   hosts.sh exec K COMMAND    run a command on host K (killing this script does not end that command)
#   hosts.sh sw COMMAND        run a command where the cables end: interfaces v1..vN and the bridge br0
#   hosts.sh emu OPTION...     delay and loss: the bridge is replaced by netemu (netemu.c says which options)
#   hosts.sh emu off           the bridge again
#   hosts.sh down              end all of it
#
# A host is a network, uts, mount, pid and ipc namespace: its own address NET.K on eth0, host name, boot id, /tmp,
# /dev/shm and /run. All else is the machine's, BASE included. The bridge is in one more network namespace, so that the
# machine's own network is not touched.
#
# BASE=/tmp/ame-bed    everything that is kept, keys and logs included; a short absolute path
# SHARE="DIR..."       directories below /tmp that all hosts shall see
# NET=10.77.0          the first three numbers of the addresses
set -u
here=$(cd "$(dirname "$0")" && pwd)
BASE=${BASE:-/tmp/ame-bed} NET=${NET:-10.77.0} SHARE=${SHARE:-}
PATH=$PATH:/usr/sbin:/sbin

anchor() { cat "$BASE/$1.pid"; } # the first process of a namespace, as the machine sees it

enter() { # enter NAME COMMAND...: in the same directory where that exists
    local name=$1
    shift
    # shellcheck disable=SC2016
    nsenter -t "$(anchor "$name")" -n -u -m -p -i bash -c 'cd "$0" 2>/dev/null || cd /; exec "$@"' "$PWD" "$@"
}

switch() { nsenter -t "$(anchor sw)" -n "$@"; }

running() { grep -qs '^State:[[:space:]]*[^ZX]' "/proc/$1/status"; } # kill -0 would also find the dead

child_of() { # waits for the first child of a process and prints its number
    local child i
    for ((i = 0; i < 500; i++)); do
        child=$(cat "/proc/$1/task/$1/children" 2>/dev/null)
        if [ -n "$child" ]; then
            echo "${child%% *}"
            return
        fi
        running "$1" || return 1
        sleep 0.01
    done
    return 1
}

write_settings() {
    local k
    if [ ! -f "$BASE/key" ]; then
        ssh-keygen -q -t ed25519 -N '' -f "$BASE/key" && ssh-keygen -q -t ed25519 -N '' -f "$BASE/hostkey" || return 1
    fi
    echo "127.0.0.1 localhost" >"$BASE/hosts"
    for ((k = 1; k <= $1; k++)); do echo "$NET.$k h$k" >>"$BASE/hosts"; done
    cat >"$BASE/ssh_config" <<END
Host *
  IdentityFile $BASE/key
  IdentitiesOnly yes
  StrictHostKeyChecking no
  UserKnownHostsFile /dev/null
  GlobalKnownHostsFile /dev/null
  LogLevel ERROR
  BatchMode yes
END
    cat >"$BASE/sshd_config" <<END
HostKey $BASE/hostkey
AuthorizedKeysFile $BASE/key.pub
PermitRootLogin yes
StrictModes no
UsePAM no
PasswordAuthentication no
PidFile /run/sshd.pid
UseDNS no
MaxStartups 100:30:200
MaxSessions 100
END
}

write_init() { # write_init NAME: what the first process of a host does, before its cable is plugged in
    cat >"$BASE/init.$1" <<END
set -e
hostname $1
mount --make-rprivate /
# a /tmp of its own, with BASE and the directories of SHARE bound back into it
mkdir -p /mnt/.ame
mount -t tmpfs ame /mnt/.ame
i=0
for folder in $BASE $SHARE; do
    i=\$((i + 1))
    mkdir -p /mnt/.ame/\$i
    mount --bind \$folder /mnt/.ame/\$i
done
mount -t tmpfs -o mode=1777 tmp /tmp
i=0
for folder in $BASE $SHARE; do
    i=\$((i + 1))
    mkdir -p \$folder
    mount --bind /mnt/.ame/\$i \$folder
done
umount -l /mnt/.ame
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t tmpfs -o mode=755 run /run
mkdir -p /run/sshd
mount --bind $BASE/hosts /etc/hosts
mount --bind $BASE/ssh_config /etc/ssh/ssh_config
cat /proc/sys/kernel/random/uuid >/run/boot_id
mount --bind /run/boot_id /proc/sys/kernel/random/boot_id
ip link set lo up
touch $BASE/$1.ready
# the first process must reap orphans, which sleep would not
exec bash -c 'while :; do sleep 1000 & wait \$!; done'
END
}

up() {
    local count=${1:-3} k i pid
    if [ -e "$BASE/sw.pid" ]; then
        echo "hosts.sh: there are hosts in $BASE already" >&2
        return 1
    fi
    mkdir -p "$BASE/shared" && write_settings "$count" || return 1

    unshare -n --fork --kill-child sleep infinity </dev/null >/dev/null 2>&1 &
    echo $! >"$BASE/sw.up"
    child_of $! >"$BASE/sw.pid" || return 1
    switch ip link add br0 type bridge && switch ip link set br0 up && switch ip link set lo up || return 1

    for ((k = 1; k <= count; k++)); do
        write_init "h$k"
        rm -f "$BASE/h$k.ready"
        unshare -n -u -m -p -i --fork --kill-child --mount-proc bash "$BASE/init.h$k" </dev/null >"$BASE/h$k.log" 2>&1 &
        echo $! >"$BASE/h$k.up"
    done
    for ((k = 1; k <= count; k++)); do
        pid=$(cat "$BASE/h$k.up")
        for ((i = 0; i < 1000; i++)); do
            [ -e "$BASE/h$k.ready" ] && break
            running "$pid" || break
            sleep 0.01
        done
        if [ ! -e "$BASE/h$k.ready" ]; then
            echo "hosts.sh: host h$k did not come up: $(cat "$BASE/h$k.log")" >&2
            return 1
        fi
        child_of "$pid" >"$BASE/h$k.pid" || return 1
        switch ip link add "v$k" type veth peer name eth0 netns "$(anchor "h$k")" || return 1
        switch ip link set "v$k" master br0 up
        enter "h$k" sh -c "ip addr add $NET.$k/24 dev eth0 && ip link set eth0 up && ip route add default via $NET.254 &&
            /usr/sbin/sshd -f $BASE/sshd_config -E $BASE/sshd.h$k.log" || return 1
    done
}

emu() {
    local ports=() file port
    for file in "$BASE"/h*.pid; do
        port=${file##*/h}
        ports+=("v${port%.pid}")
    done
    if [ -e "$BASE/emu.pid" ]; then
        kill "$(cat "$BASE/emu.pid")"
        rm -f "$BASE/emu.pid"
    fi
    if [ "${1:-}" = off ]; then
        for port in "${ports[@]}"; do switch ip link set "$port" master br0; done
        return
    fi
    [ -x "$BASE/netemu" ] || cc -O2 -o "$BASE/netemu" "$here/netemu.c" || return 1
    for port in "${ports[@]}"; do switch ip link set "$port" nomaster; done
    rm -f "$BASE/emu.log"
    nsenter -t "$(anchor sw)" -n "$BASE/netemu" "$@" "${ports[@]}" </dev/null >"$BASE/emu.log" 2>&1 &
    echo $! >"$BASE/emu.pid"
    until grep -qs ready "$BASE/emu.log"; do
        running "$(cat "$BASE/emu.pid")" || { cat "$BASE/emu.log" >&2; return 1; }
        sleep 0.01
    done
}

down() {
    local file pid
    for file in "$BASE/emu.pid" "$BASE"/*.up; do
        if [ -e "$file" ]; then kill -9 "$(cat "$file")" 2>/dev/null; fi
    done
    # --kill-child has ended the first process of each namespace, and that takes along all others in it
    for file in "$BASE"/*.pid; do
        [ -e "$file" ] || continue
        pid=$(cat "$file")
        while running "$pid"; do sleep 0.02; done
    done
    rm -f "$BASE"/*.up "$BASE"/*.pid "$BASE"/*.ready
}

command=${1:-}
[ $# -eq 0 ] || shift
case $command in
up)
    up "$@" || {
        down
        exit 1
    }
    ;;
exec)
    host=h$1
    shift
    enter "$host" "$@"
    ;;
sw) exec nsenter -t "$(anchor sw)" -n "$@" ;;
emu) emu "$@" ;;
down) down ;;
*)
    echo "usage: hosts.sh up [N] | exec K COMMAND | sw COMMAND | emu OPTION... | emu off | down" >&2
    exit 2
    ;;
esac
