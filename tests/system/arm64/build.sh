#!/usr/bin/env bash
# An arm64 Python with both runtimes, for this machine to emulate: Debian's files unpacked and never configured, the wheels of
# requirements/both.txt beside them, and a command `python` that runs there. Nothing is mounted, registered or left running.
#
# usage: build.sh          prints the folder; `FOLDER/python -m agent --version` is the agent on arm64
#
# Needs Debian and root (or sudo) for missing packages and the files; 0.4 GB under .cache/arm64, kept for the next run under
# a name made of everything that went into it. PYTHON names the Python whose pip fetches the wheels.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
work=${EDGE_CACHE:-$root/.cache}/arm64
PYTHON=${PYTHON:-$root/.venv/bin/python}
packages=(qemu-user-static mmdebstrap)
suite=bookworm # Raspberry Pi OS with Python 3.11, which tflite-runtime has wheels for
wheels=$root/requirements/both.txt

note() { echo "arm64: $*" >&2; }

command -v apt-get >/dev/null || { note "needs Debian: there is no apt-get here"; exit 75; }
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { note "needs root or sudo"; exit 75; }
  as_root=(sudo)
fi

install_packages() {
  local missing=() name
  for name in "${packages[@]}"; do
    dpkg-query -W -f='${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || missing+=("$name")
  done
  [ "${#missing[@]}" -eq 0 ] && return
  note "installing ${missing[*]}"
  "${as_root[@]}" apt-get update -qq &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# $1 folder: Debian's files for arm64.
unpack() {
  "${as_root[@]}" mmdebstrap --quiet --arch=arm64 --variant=extract \
    --include=python3-minimal,python3.11,libpython3.11-stdlib,libgomp1,libstdc++6,zlib1g,libc-bin "$suite" "$1/root" >&2
  "${as_root[@]}" chown -R "$(id -u):$(id -g)" "$1/root"
  [ -e "$1/root/lib" ] || ln -s usr/lib "$1/root/lib"
  # LiteRT looks here for what the processor can do; this machine's own answer makes it crash.
  mkdir -p "$1/root/proc"
  for number in 0 1 2 3; do
    printf 'processor\t: %s\nBogoMIPS\t: 108.00\nFeatures\t: fp asimd evtstrm crc32 cpuid\nCPU implementer\t: 0x41\n' "$number"
    printf 'CPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0xd08\nCPU revision\t: 3\n\n'
  done >"$1/root/proc/cpuinfo"
}

# $1 folder: the wheels, by the hashes that the requirements name.
fetch_wheels() {
  local platforms=() number
  for number in 36 34 31 28 27 17; do platforms+=(--platform "manylinux_2_${number}_aarch64"); done
  "$PYTHON" -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --require-hashes \
    --only-binary=:all: "${platforms[@]}" --platform manylinux2014_aarch64 --python-version 3.11 --implementation cp \
    --target "$1/site" -r "$wheels" >&2
}

# $1 folder. The processor is a Raspberry Pi 4's: what qemu 7.2 emulates by default computes XNNPACK's int8 wrongly. By its
# own name (-0) Python finds itself again and can start children, as this script.
write_command() {
  cat >"$1/python" <<'COMMAND'
#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
export PYTHONPATH="${PYTHONPATH:+$PYTHONPATH:}$here/site"
exec qemu-aarch64-static -cpu cortex-a72 -L "$here/root" -0 "$here/python" "$here/root/usr/bin/python3.11" -S "$@"
COMMAND
  chmod +x "$1/python"
}

install_packages || { note "apt cannot install ${packages[*]}"; exit 75; }
mkdir -p "$work"
recipe=$(declare -f unpack fetch_wheels write_command)
folder=$work/$(printf '%s\n' "$suite" "$recipe" | cat - "$wheels" | sha256sum | cut -c1-16)
if ! [ -d "$folder" ]; then
  note "unpacking $suite for arm64 and the wheels of requirements/both.txt"
  new=$(mktemp -d "$work/new.XXXXXX")
  # shellcheck disable=SC2154  # code is set in the trap itself
  trap 'code=$?; rm -rf "$new"; [ "$code" -eq 0 ] || { note "no arm64 files; the reason is above"; exit 75; }' EXIT
  unpack "$new"
  fetch_wheels "$new"
  write_command "$new"
  chmod 755 "$new"
  mv -T "$new" "$folder" 2>/dev/null || [ -d "$folder" ] # another run may have been quicker
fi
echo "$folder"
