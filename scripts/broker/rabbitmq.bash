# shellcheck shell=bash
# RabbitMQ from Debian's packages, as an instance of its own: own node data,
# cookie, Erlang port mapper (epmd) and ports, beside a system-wide one.
# Sourced by scripts/brokers, which sets root, offset and tls.
# shellcheck disable=SC2154

rabbitmq_port=$((25672 + offset))
rabbitmq_tls_port=$((25671 + offset))
rabbitmq_http_port=$((25673 + offset))
rabbitmq_epmd_port=$((24369 + offset))
rabbitmq_dist_port=$((24370 + offset))

rabbitmq_install() { need /usr/lib/rabbitmq/bin/rabbitmq-server=rabbitmq-server; }

rabbitmq_address() { printf 'amqp://test:test@127.0.0.1:%s/' "$rabbitmq_port"; }

rabbitmq_env() {
  printf 'export MILLSTREAM_RABBITMQ=%s\n' "$(rabbitmq_address)"
  printf 'export MILLSTREAM_RABBITMQ_HTTP=http://test:test@127.0.0.1:%s\n' "$rabbitmq_http_port"
  printf 'export MILLSTREAM_RABBITMQ_TLS=amqps://test:test@localhost:%s/\n' "$rabbitmq_tls_port"
}

rabbitmq_ready() {
  answers "$rabbitmq_port" &&
    curl -fsS -m 5 -u test:test "http://127.0.0.1:$rabbitmq_http_port/api/health/checks/local-alarms"
}

rabbitmq_start() (
  dir=$root/rabbitmq
  free_ports rabbitmq "$rabbitmq_port" "$rabbitmq_tls_port" "$rabbitmq_http_port" "$rabbitmq_dist_port"
  mkdir -p "$dir/mnesia" "$dir/home" "$root/epmd"
  rabbitmq_config >"$dir/rabbitmq.conf"
  echo '[rabbitmq_management,rabbitmq_auth_mechanism_ssl].' >"$dir/enabled_plugins"
  # A huge limit, as containers have, makes Erlang allocate for minutes.
  ulimit -n 65536 2>/dev/null || true
  export ERL_CRASH_DUMP=$dir/erl_crash.dump
  export HOME=$dir/home ERL_EPMD_PORT=$rabbitmq_epmd_port ERL_EPMD_ADDRESS=127.0.0.1
  if ! living epmd >/dev/null; then
    free_ports epmd "$rabbitmq_epmd_port"
    spawn epmd epmd
    until answers "$rabbitmq_epmd_port" || ! living epmd >/dev/null; do sleep 0.05; done
  fi
  # The variable makes the start script become the Erlang machine instead of
  # its parent, so that the pid is the one to signal.
  spawn rabbitmq env -u NOTIFY_SOCKET RUNNING_UNDER_SYSTEMD=true \
    RABBITMQ_CONF_ENV_FILE=/dev/null RABBITMQ_NODENAME=test@localhost \
    RABBITMQ_NODE_PORT="$rabbitmq_port" RABBITMQ_DIST_PORT="$rabbitmq_dist_port" \
    RABBITMQ_CONFIG_FILE="$dir/rabbitmq" RABBITMQ_ENABLED_PLUGINS_FILE="$dir/enabled_plugins" \
    RABBITMQ_MNESIA_BASE="$dir/mnesia" RABBITMQ_LOG_BASE="$dir" RABBITMQ_PID_FILE="$dir/server.pid" \
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none' \
    /usr/lib/rabbitmq/bin/rabbitmq-server
)

# The port mapper belongs to this instance alone and ends with it.
rabbitmq_stopped() { end epmd TERM; }

# An alarm blocks whoever publishes until the limit is up again.
rabbitmq_alarm() { rabbitmq_ctl set_vm_memory_high_watermark absolute 1; }
rabbitmq_calm() { rabbitmq_ctl set_vm_memory_high_watermark absolute 512MB; }

rabbitmq_ctl() {
  HOME=$root/rabbitmq/home ERL_EPMD_PORT=$rabbitmq_epmd_port RABBITMQ_CONF_ENV_FILE=/dev/null \
    /usr/lib/rabbitmq/bin/rabbitmqctl -n test@localhost "$@" >/dev/null
}

rabbitmq_config() {
  cat <<CONF
listeners.tcp.1 = 127.0.0.1:$rabbitmq_port
listeners.ssl.1 = 127.0.0.1:$rabbitmq_tls_port
ssl_options.cacertfile = $tls/ca.pem
ssl_options.certfile = $tls/server.pem
ssl_options.keyfile = $tls/server.key
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = false
ssl_cert_login_from = common_name
auth_mechanisms.1 = PLAIN
auth_mechanisms.2 = AMQPLAIN
auth_mechanisms.3 = EXTERNAL
management.tcp.ip = 127.0.0.1
management.tcp.port = $rabbitmq_http_port
default_user = test
default_pass = test
loopback_users = none
vm_memory_high_watermark.absolute = 512MB
disk_free_limit.absolute = 200MB
log.console = true
log.file = false
CONF
}
