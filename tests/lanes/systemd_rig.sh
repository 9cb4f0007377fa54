#!/bin/bash
# Two stages of the rig that tests/lanes/systemd_rig.py starts: a real systemd as PID 1 of fresh namespaces, over an overlay
# of this machine's root whose upper layer is in memory. Nothing of the host is mounted over: all is in private namespaces.
#   systemd_rig.sh outer WORK   a cgroup of its own, then the namespaces
#   systemd_rig.sh inner WORK   the root, then systemd
#   systemd_rig.sh clean WORK   what is left of the cgroup
# Environment: RIG_TREE, RIG_PYTHON ("" where the interpreter is the system's own), RIG_PACKAGES
set -euo pipefail
stage=$1 work=$2

cgroup_root() {  # mounted where nobody else sees it
    mkdir -p "$work/cgroup"
    mount -t cgroup2 cgroup2 "$work/cgroup"
}

case $stage in
outer)
    cgroup_root
    mkdir "$work/cgroup/bodycam-rig-$$"
    echo "bodycam-rig-$$" > "$work/cgroup-name"
    echo $$ > "$work/cgroup/bodycam-rig-$$/cgroup.procs"
    exec unshare --cgroup --mount --net --uts --ipc --pid --fork --kill-child=KILL --propagation private \
        "$0" inner "$work"
    ;;
inner)
    umount "$work/cgroup"
    memory=$work/memory root=$work/memory/root
    mkdir -p "$memory"
    mount -t tmpfs -o mode=755 tmpfs "$memory"
    mkdir "$memory/upper" "$memory/work" "$root"
    mount -t overlay overlay -o "lowerdir=/,upperdir=$memory/upper,workdir=$memory/work" "$root"
    mount -t proc proc "$root/proc"
    mount -t sysfs -o ro sysfs "$root/sys"
    mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
    for place in run dev tmp var/tmp; do mount -t tmpfs -o mode=755 tmpfs "$root/$place"; done
    chmod 1777 "$root/tmp" "$root/var/tmp"
    mkdir "$root/dev/pts" "$root/dev/shm" "$root/run/old"
    for node in "null 1 3" "zero 1 5" "full 1 7" "random 1 8" "urandom 1 9" "tty 5 0"; do
        read -r name major minor <<< "$node"
        mknod -m 666 "$root/dev/$name" c "$major" "$minor"
    done
    mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
    ln -s pts/ptmx "$root/dev/ptmx"
    ln -s /proc/self/fd "$root/dev/fd"
    mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
    # The kinds of devices that a Pi has and this kernel may not: systemd looks their numbers up here.
    { echo "Character devices:"; cat "$work/devices"; } > "$root/run/devices"
    mount --bind "$root/run/devices" "$root/proc/devices"
    mkdir -p "$root/opt/rig/tree" "$root/opt/rig/packages" "$root/opt/rig/python"
    mount --bind "$RIG_TREE" "$root/opt/rig/tree"
    mount --bind "$RIG_PACKAGES" "$root/opt/rig/packages"
    if [ -n "$RIG_PYTHON" ]; then
        mount --bind "$RIG_PYTHON" "$root/opt/rig/python"
        echo /opt/rig/python/lib > "$root/etc/ld.so.conf.d/rig.conf"
        chroot "$root" ldconfig
    fi
    cp -a "$work/files/." "$root/"
    chroot "$root" systemd-sysusers /usr/lib/sysusers.d/bodycam.conf
    cd "$root"
    pivot_root . run/old
    exec chroot . /bin/bash -c 'umount -l /run/old && exec env -i container=rig PATH=/usr/sbin:/usr/bin:/sbin:/bin \
        /lib/systemd/systemd --system --log-target=journal --unit=rig.target'
    ;;
clean)
    cgroup_root
    name=$(cat "$work/cgroup-name")
    [ ! -d "$work/cgroup/$name" ] || find "$work/cgroup/$name" -depth -type d -exec rmdir {} +
    ;;
esac
