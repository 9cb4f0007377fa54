"""What each unit may do, as its probe must answer from inside (tests/lanes/sandbox_probe.py): one right a line.

The other process is one of the daemon's user. `ENXIO` for a device: allowed, and there is no driver here. `nothing`: the same probe as root without a sandbox, which shows
that the probe would see it; `-` where the machine decides that.
"""

UNITS = ("bodycam", "bodycam-fault", "bodycam-provision", "bodycam-offload", "bodycam-reboot")

_TABLE = """
probe                    | bodycam      | fault        | provision    | off-load     | reboot       | nothing
-------------------------|--------------|--------------|--------------|--------------|--------------|---------
write /usr               | EROFS        | EROFS        | EROFS        | EROFS        | EROFS        | ok
write /etc               | EROFS        | EROFS        | EROFS        | EROFS        | EROFS        | ok
write /boot              | EROFS        | EROFS        | EROFS        | EROFS        | EROFS        | ok
write card               | ok           | EACCES       | EACCES       | EROFS        | EACCES       | ok
write spool              | ok           | EACCES       | EACCES       | ok           | EACCES       | ok
write state              | ok           | EACCES       | EROFS        | EROFS        | EACCES       | ok
write identity           | EROFS        | EACCES       | ok           | EACCES       | EACCES       | ok
write off-load's state   | EACCES       | EACCES       | EACCES       | ok           | EACCES       | ok
write run                | ok           | ok           | none         | none         | none         | none
read card                | ok           | EACCES       | EACCES       | ok           | EACCES       | ok
read keys                | ok           | EACCES       | ok           | EACCES       | EACCES       | ok
read configuration       | ok           | ok           | ok           | ok           | ok           | ok
read /home               | EACCES       | EACCES       | EACCES       | EACCES       | EACCES       | ok
read /root               | EACCES       | EACCES       | EACCES       | EACCES       | EACCES       | ok
read another user's file | EACCES       | EACCES       | EACCES       | EACCES       | ok           | ok
others' /tmp             | hidden       | hidden       | hidden       | hidden       | hidden       | seen
execute what it wrote    | EACCES       | EACCES       | EACCES       | EACCES       | EACCES       | ok
set-user-id file         | EPERM        | EPERM        | EPERM        | EPERM        | EPERM        | ok
a FIFO in /tmp           | ok           | ok           | ok           | ok           | ok           | ok
device null              | ok           | ok           | ok           | ok           | ok           | ok
device video             | ENXIO        | EACCES       | EACCES       | ENOENT       | ENOENT       | -
device subdevice         | ENXIO        | EACCES       | EACCES       | ENOENT       | ENOENT       | -
device media             | ENXIO        | EACCES       | EACCES       | ENOENT       | ENOENT       | -
device dma_heap          | ENXIO        | EACCES       | EACCES       | ENOENT       | ENOENT       | -
device sound             | ENXIO        | EACCES       | EACCES       | ENOENT       | ENOENT       | -
device sound control     | ENXIO        | EACCES       | EACCES       | ENOENT       | ENOENT       | -
device gpio              | ENXIO        | ENXIO        | EACCES       | ENOENT       | ENOENT       | -
device i2c               | ENXIO        | EACCES       | EACCES       | ENOENT       | ENOENT       | -
device tpm               | ENXIO        | EACCES       | ENXIO        | ENOENT       | ENOENT       | -
device drm               | EPERM        | EPERM        | EPERM        | ENOENT       | ENOENT       | -
device hidraw            | EPERM        | EPERM        | EPERM        | ENOENT       | ENOENT       | -
device rtc, to set       | EPERM        | EPERM        | EPERM        | ENOENT       | ENOENT       | -
device watchdog          | EPERM        | EPERM        | EPERM        | ENOENT       | ENOENT       | -
device mem               | EPERM        | EPERM        | EPERM        | ENOENT       | ENOENT       | -
device disk              | EPERM        | EPERM        | EPERM        | ENOENT       | ENOENT       | -
tunables                 | read-only    | read-only    | ENOENT       | read-only    | read-only    | writable
cgroups                  | read-only    | read-only    | read-only    | read-only    | read-only    | writable
kernel log               | EACCES       | EACCES       | ENOENT       | EACCES       | EACCES       | ok
load a module            | EPERM        | EPERM        | EPERM        | EPERM        | EPERM        | -
set the clock            | EPERM        | EPERM        | EPERM        | EPERM        | EPERM        | EINVAL
tune the clock           | EPERM        | EPERM        | EPERM        | EPERM        | EPERM        | EINVAL
ask the clock            | ok           | EPERM        | EPERM        | ok           | EPERM        | ok
set the hostname         | EPERM        | EPERM        | EPERM        | EPERM        | EPERM        | ok
mount                    | EPERM        | EPERM        | EPERM        | EPERM        | EPERM        | ok
a user namespace         | EPERM        | EPERM        | EPERM        | EPERM        | EPERM        | ok
a mount namespace        | EPERM        | EPERM        | EPERM        | EPERM        | EPERM        | ok
a key for the keyring    | EPERM        | EPERM        | EPERM        | EPERM        | EPERM        | ok
another personality      | EPERM        | EPERM        | EPERM        | EPERM        | EPERM        | ok
executable memory        | EPERM        | EPERM        | EPERM        | EPERM        | EPERM        | ok
a function called from C | ok           | ok           | ok           | ok           | ok           | ok
real-time priority       | EPERM        | EPERM        | EPERM        | EPERM        | EPERM        | -
become root              | EPERM        | EPERM        | EPERM        | EPERM        | EPERM        | ok
trace another process    | EPERM        | EPERM        | EPERM        | EPERM        | EPERM        | ok
signal another process   | ok           | ok           | ok           | EPERM        | EPERM        | ok
see another process      | hidden       | hidden       | hidden       | hidden       | seen         | seen
see the system's memory  | seen         | seen         | hidden       | seen         | seen         | seen
the boot's id            | ok           | ok           | ENOENT       | ok           | ok           | ok
sensors in /sys          | ok           | ok           | ok           | ok           | ok           | ok
its own cgroup           | ok           | ok           | ok           | ok           | ok           | -
udev's data              | ok           | ok           | ok           | ok           | ok           | ok
chrony is there          | seen         | seen         | seen         | seen         | seen         | seen
timesyncd's word         | seen         | seen         | seen         | seen         | seen         | seen
socket unix              | ok           | ok           | ok           | ok           | ok           | ok
socket netlink           | ok           | EAFNOSUPPORT | EAFNOSUPPORT | EAFNOSUPPORT | EAFNOSUPPORT | ok
socket inet              | EAFNOSUPPORT | EAFNOSUPPORT | EAFNOSUPPORT | ok           | EAFNOSUPPORT | ok
socket inet6             | EAFNOSUPPORT | EAFNOSUPPORT | EAFNOSUPPORT | ok           | EAFNOSUPPORT | ok
socket packet            | EAFNOSUPPORT | EAFNOSUPPORT | EAFNOSUPPORT | EAFNOSUPPORT | EAFNOSUPPORT | ok
capabilities             | 0            | 0            | 0            | 0            | 0            | -
no new privileges        | 1            | 1            | 1            | 1            | 1            | 0
system call filter       | 2            | 2            | 2            | 2            | 2            | 0
core limit               | 0 0          | 0 0          | 0 0          | 0 0          | 0 0          | -
umask                    | 0027         | 0077         | 0077         | 0027         | 0077         | 0022
namespace net            | its own      | its own      | its own      | systemd's    | its own      | systemd's
namespace ipc            | its own      | its own      | its own      | its own      | its own      | systemd's
namespace user           | its own      | its own      | its own      | its own      | systemd's    | systemd's
namespace uts            | its own      | its own      | its own      | its own      | its own      | systemd's
namespace mnt            | its own      | its own      | its own      | its own      | its own      | systemd's
"""

ROWS = {
    cells[0]: tuple(cells[1:])
    for line in _TABLE.strip().splitlines()[2:]
    for cells in [[cell.strip() for cell in line.split("|")]]
}
"""What is asked, and the answers: one for each of `UNITS`, and the last without a sandbox."""

_LINES = """
without this line                                    | the probe                | answers
-----------------------------------------------------|--------------------------|--------
User=bodycam                                         | read another user's file | ok
SupplementaryGroups=video audio gpio i2c tss         | device gpio              | EACCES
UMask=0027                                           | umask                    | 0022
LimitCORE=0                                          | core limit               | 0 -1
DeviceAllow=char-video4linux rw                      | device video             | EPERM
DeviceAllow=char-media rw                            | device media             | EPERM
DeviceAllow=char-dma_heap rw                         | device dma_heap          | EPERM
DeviceAllow=char-alsa rw                             | device sound             | EPERM
DeviceAllow=char-gpiochip rw                         | device gpio              | EPERM
DeviceAllow=char-i2c rw                              | device i2c               | EPERM
DeviceAllow=/dev/tpmrm0 rw                           | device tpm               | EPERM
PrivateNetwork=yes                                   | namespace net            | systemd's
RestrictAddressFamilies=AF_UNIX AF_NETLINK           | socket inet              | ok
ProtectSystem=strict                                 | write identity           | ok
ProtectHome=yes                                      | read /home               | ok
PrivateTmp=yes                                       | others' /tmp             | seen
PrivateIPC=yes                                       | namespace ipc            | systemd's
PrivateUsers=yes                                     | namespace user           | systemd's
NoExecPaths=/var/lib/bodycam                         | execute what it wrote    | ok
ProtectProc=invisible                                | see another process      | seen
ProtectKernelTunables=yes                            | tunables                 | writable
ProtectControlGroups=yes                             | cgroups                  | writable
ProtectHostname=yes                                  | namespace uts            | systemd's
RestrictNamespaces=yes                               | a user namespace         | ok
RestrictSUIDSGID=yes                                 | set-user-id file         | ok
LockPersonality=yes                                  | another personality      | ok
MemoryDenyWriteExecute=yes                           | executable memory        | ok
SystemCallFilter=~@privileged @resources @keyring    | a key for the keyring    | ok
SystemCallFilter=adjtimex clock_adjtime              | ask the clock            | EPERM
"""

LINES = [tuple(cell.strip() for cell in line.split("|")) for line in _LINES.strip().splitlines()[2:]]
"""Lines of bodycam.service that alone hold something: how each begins, and which probe answers what without it. The others
are held twice: without capabilities and privileged system calls, much that they forbid can't be done anyway."""
