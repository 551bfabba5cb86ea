#!/bin/sh
# The guest's first process: mounts, loads the camera, runs the checks, and turns the machine off.
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
modprobe vivid n_devs=1 node_types=0x1 || echo "VIVID FAILED modprobe"
cd /opt/code || exit 1
OPENBLAS_NUM_THREADS=1 PYTHONPATH=/opt/site:/opt/code PYTHONDONTWRITEBYTECODE=1 python3 -u guest.py 2>&1
echo "VIVID exit $?"
echo o >/proc/sysrq-trigger
sleep 60
