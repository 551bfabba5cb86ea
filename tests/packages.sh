#!/usr/bin/env bash
# System packages that the tests use: a real broker, real stream servers, a C compiler for a delegate, a browser.
# Does nothing when all are there; needs root or sudo when they are not.
set -euo pipefail

packages=(mosquitto mosquitto-clients openssl minisign gcc ffmpeg chromium chromium-driver fonts-dejavu-core
  python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good
  gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly)

if ! command -v dpkg-query >/dev/null; then
  echo "no Debian packages here: install by hand what ${packages[*]} stand for" >&2
  exit 0
fi
missing=()
for name in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || missing+=("$name")
done
[ "${#missing[@]}" -eq 0 ] && exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "missing: ${missing[*]}; install them as root: apt-get install ${missing[*]}" >&2
    exit 75
  fi
  as_root=(sudo)
fi
echo "installing ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
