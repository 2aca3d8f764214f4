#!/bin/sh
# What the tests need beyond Python: an SSH and an IMAP server program, a second PostgreSQL (the external server of the tests), a
# browser, nginx (the example of a proxy with TLS), and docker-compose and systemd-analyze, which check files without an engine or a
# running systemd.
# Nothing is started: the tests run private instances on free ports.
set -eu

missing=
[ -x /usr/sbin/sshd ] || command -v sshd >/dev/null 2>&1 || missing="openssh-server"
ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || missing="$missing postgresql"
[ -x /usr/sbin/dovecot ] || command -v dovecot >/dev/null 2>&1 || missing="$missing dovecot-imapd"
[ -n "${TEILHABE_CHROMIUM:-}" ] || command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 || missing="$missing chromium"
[ -x /usr/sbin/nginx ] || command -v nginx >/dev/null 2>&1 || missing="$missing nginx-light"
command -v docker-compose >/dev/null 2>&1 || missing="$missing docker-compose"
command -v systemd-analyze >/dev/null 2>&1 || missing="$missing systemd"
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "tests: please install$(printf ' %s' $missing) (Debian, as root: apt-get install$(printf ' %s' $missing)); without them tests would be skipped." >&2
    exit 1
fi

echo "tests: installing$(printf ' %s' $missing) with apt-get"
export DEBIAN_FRONTEND=noninteractive
# No new daemon: services ask this file whether they may start while a package is installed.
policy=/usr/sbin/policy-rc.d
ours=
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    ours=1
fi
trap '[ -z "$ours" ] || rm -f "$policy"' EXIT
# The package must not make a cluster of its own either.
if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    mkdir -p /etc/postgresql-common
    echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
fi
apt-get update -qq
# shellcheck disable=SC2086 - a list of words
apt-get install -y -qq --no-install-recommends -o Dpkg::Options::=--force-confold $missing >/dev/null
echo "tests: tools are there"
