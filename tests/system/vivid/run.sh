#!/usr/bin/env bash
# The camera stage against a real kernel camera: Debian's kernel with its vivid driver, booted by qemu without KVM.
#
# usage: run.sh            prints one line per check, "VIVID ok NAME ..." or "VIVID FAILED NAME ...", then "VIVID done N"
#
# Needs Debian, root (or sudo) for missing packages and for the image; 2 GB of disk under .cache/vivid, where the image is
# kept for the next run, under a name made of everything that went into it. PYTHON names the Python whose versions
# of numpy, OpenCV and so on are put into the guest.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
work=${EDGE_CACHE:-$root/.cache}/vivid
PYTHON=${PYTHON:-$root/.venv/bin/python}
packages=(qemu-system-x86 mmdebstrap cpio zstd kmod)

note() { echo "vivid: $*" >&2; }

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
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# The kernel image package that the meta package names; the -unsigned one where there is one: it needs nothing else.
kernel_package() {
  local name
  name=$(apt-cache depends linux-image-amd64 | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)$/\1/p' | head -n 1)
  [ -n "$name" ] || { note "apt offers no linux-image-amd64"; return 75; }
  if apt-cache show "$name-unsigned" >/dev/null 2>&1; then name=$name-unsigned; fi
  echo "$name=$(apt-cache policy "$name" | sed -n 's/^ *Candidate: //p')"
}

# What agent.camera and agent.config import.
wheels() {
  "$PYTHON" -c 'from importlib.metadata import version
print(*(f"{name}=={version(name)}" for name in ("numpy", "opencv-python-headless", "msgspec", "tomli-w")))'
}

# $1 kernel package, $2 wheels, $3 Debian's code name, $4 folder to fill with vmlinuz and base.cpio.zst
build() {
  local new guest version python
  new=$4.new guest=$4.new/root
  "${as_root[@]}" rm -rf "$new"
  mkdir -p "$new/kernel"
  note "building the guest: $3, ${1%%=*}, $2"
  (cd "$new" && apt-get download -qq -o APT::Sandbox::User=root "$1" && dpkg-deb -x linux-image-*.deb kernel)
  version=$(basename "$new"/kernel/boot/vmlinuz-*)
  version=${version#vmlinuz-}
  "${as_root[@]}" mmdebstrap --quiet --variant=essential --include=kmod,mount,python3,v4l-utils,ca-certificates \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' "$3" "$guest" >&2
  add_modules "$new/kernel" "$guest" "$version"
  python=$("${as_root[@]}" chroot "$guest" python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  # shellcheck disable=SC2086  # several requirements
  "${as_root[@]}" "$PYTHON" -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps \
    --only-binary=:all: --python-version "$python" --implementation cp --platform manylinux_2_28_x86_64 \
    --platform manylinux_2_27_x86_64 --platform manylinux2014_x86_64 --target "$guest/opt/site" $2
  cp "$new/kernel/boot/vmlinuz-$version" "$new/vmlinuz"
  (cd "$guest" && "${as_root[@]}" find . -xdev -path ./var/cache -prune -o -path ./var/lib/apt -prune -o -print0 |
    "${as_root[@]}" cpio --null -H newc -o --quiet | zstd -q -1 -T0 >"$new/base.cpio.zst")
  "${as_root[@]}" rm -rf "$guest" "$new/kernel"
  rm -f "$new"/linux-image-*.deb
  mv "$new" "$4"
}

# vivid and what it depends on, of several hundred megabytes of modules.
add_modules() {
  local kernel=$1 guest=$2 version=$3 module
  "${as_root[@]}" mkdir -p "$guest/lib/modules/$version"
  "${as_root[@]}" /sbin/depmod -b "$kernel" "$version"
  "${as_root[@]}" /sbin/modprobe -d "$kernel" -S "$version" --show-depends vivid | sed -n 's/^insmod \([^ ]*\).*/\1/p' |
    while read -r module; do
      module=${module#"$kernel/"}
      "${as_root[@]}" install -D -m 644 "$kernel/$module" "$guest/$module"
    done
  "${as_root[@]}" cp "$kernel/lib/modules/$version"/modules.{order,builtin,builtin.modinfo} "$guest/lib/modules/$version/"
  "${as_root[@]}" /sbin/depmod -b "$guest" "$version"
}

# The code under test and the guest's first process, laid over the image: what changes daily is not part of what is kept.
overlay() {
  local tree
  tree=$(mktemp -d)
  mkdir -p "$tree/opt/code"
  cp -r "$root/agent" "$tree/opt/code/"
  find "$tree" -name __pycache__ -type d -prune -exec rm -rf {} +
  cp "$here/guest.py" "$tree/opt/code/"
  install -m 755 "$here/init.sh" "$tree/init"
  (cd "$tree" && find . -print0 | cpio --null -H newc -o --quiet | zstd -q -1)
  rm -rf "$tree"
}

# The image's folder, named after everything that goes into it.
image_folder() {
  echo "$work/$(printf '%s\n' "$1" "$wheels" "$codename" "$(declare -f build add_modules)" | sha256sum | cut -c1-16)"
}

install_packages
wheels=$(wheels)
codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
mkdir -p "$work"
kernel=$(kernel_package) || kernel=none
image=$(image_folder "$kernel")
if ! [ -f "$image/base.cpio.zst" ]; then
  "${as_root[@]}" apt-get update -qq # old lists name kernels that the mirror no longer has
  kernel=$(kernel_package)
  image=$(image_folder "$kernel")
  [ -f "$image/base.cpio.zst" ] || build "$kernel" "$wheels" "$codename" "$image"
fi
initrd=$(mktemp "$work/initrd.XXXXXX")
trap 'rm -f "$initrd"' EXIT
{ cat "$image/base.cpio.zst"; overlay; } >"$initrd"

note "booting"
timeout --foreground 400 qemu-system-x86_64 -M q35 -accel tcg,thread=multi -cpu max -smp 2 -m 2048 -nographic -no-reboot \
  -nic none -kernel "$image/vmlinuz" -initrd "$initrd" \
  -append "console=ttyS0 quiet panic=-1 rdinit=/init" </dev/null | tr -d '\r' | tee "$work/boot.log" |
  grep --line-buffered -a '^VIVID' || true
grep -aq '^VIVID done' "$work/boot.log" || { note "the guest did not finish; its console:"; tail -n 40 "$work/boot.log" >&2; exit 1; }
! grep -aq '^VIVID FAILED' "$work/boot.log"
