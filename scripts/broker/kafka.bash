# shellcheck shell=bash
# Apache Kafka from Maven artifacts: one node that is broker and controller
# (KRaft), with a plain, a SASL, a TLS and a SASL-over-TLS listener.
# Sourced by scripts/brokers, which sets root, offset, tls and here.
# shellcheck disable=SC2154

kafka_version=3.9.1
kafka_port=$((21092 + offset))
kafka_controller_port=$((21093 + offset))
kafka_sasl_port=$((21094 + offset))
kafka_tls_port=$((21095 + offset))
kafka_sasl_tls_port=$((21096 + offset))
kafka_lib=$BROKERS_CACHE/kafka-$kafka_version

kafka_address() { printf '127.0.0.1:%s' "$kafka_port"; }

kafka_env() {
  printf 'export MILLSTREAM_KAFKA=%s\n' "$(kafka_address)"
  printf 'export MILLSTREAM_KAFKA_SASL=127.0.0.1:%s\n' "$kafka_sasl_port"
  printf 'export MILLSTREAM_KAFKA_TLS=localhost:%s\n' "$kafka_tls_port"
  printf 'export MILLSTREAM_KAFKA_SASL_TLS=localhost:%s\n' "$kafka_sasl_tls_port"
}

# The jars must be the ones of kafka.sha256, wherever they were fetched from.
kafka_install() {
  need java=default-jre-headless
  [[ ! -e $kafka_lib/complete ]] || return 0
  need mvn=maven
  say "fetching Kafka $kafka_version"
  rm -rf "$kafka_lib"
  mkdir -p "$kafka_lib"
  mvn -B -q -f "$here/kafka-pom.xml" -Dmaven.repo.local="$BROKERS_CACHE/m2" \
    org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$kafka_lib" >"$BROKERS_CACHE/mvn.log" 2>&1 </dev/null 9>&- || {
    tail -n 40 "$BROKERS_CACHE/mvn.log" >&2
    die "Maven could not fetch Kafka $kafka_version"
  }
  (cd "$kafka_lib" && sha256sum --quiet --strict -c "$here/kafka.sha256") ||
    die "Kafka's jars differ from scripts/broker/kafka.sha256"
  touch "$kafka_lib/complete"
}

kafka_start() {
  local dir=$root/kafka
  free_ports kafka "$kafka_port" "$kafka_controller_port" "$kafka_sasl_port" "$kafka_tls_port" "$kafka_sasl_tls_port"
  kafka_log_config >"$dir/log4j.properties"
  kafka_config >"$dir/server.properties"
  if [[ ! -e $dir/data/meta.properties ]]; then
    rm -rf "$dir/data"
    java -Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dlog4j.configuration="file:$dir/log4j.properties" \
      -cp "$kafka_lib/*" kafka.tools.StorageTool format -t MkU3OEVBNTcwNTJENDM2Qg -c "$dir/server.properties" \
      -S 'SCRAM-SHA-256=[name=test,password=test]' -S 'SCRAM-SHA-512=[name=test,password=test]' \
      >"$dir/format.log" 2>&1 || {
      cat "$dir/format.log" >&2
      die "Kafka could not format its data directory"
    }
  fi
  # KAFKA_JAVA_OPTS= removes the compiler limit, which halves the start time and
  # the throughput, for benchmarks.
  local opts=()
  read -ra opts <<<"${KAFKA_JAVA_OPTS--XX:TieredStopAtLevel=1}"
  spawn kafka java -Xms256m -Xmx384m -Xss512k -XX:+UseSerialGC -XX:+ExitOnOutOfMemoryError \
    ${opts[@]+"${opts[@]}"} -Djava.awt.headless=true -Djava.net.preferIPv4Stack=true \
    -Dlog4j.configuration="file:$dir/log4j.properties" -cp "$kafka_lib/*" kafka.Kafka "$dir/server.properties"
}

# Ports open before the broker can be used: it is ready when it said so and
# names itself in the answer to a metadata request.
kafka_ready() {
  grep -q 'Kafka Server started' "$root/kafka/log" && [[ $(kafka_brokers 2>/dev/null) == 1 ]]
}

# kafka_brokers prints how many brokers a Metadata request (key 3, version 0,
# all topics) is answered with: the third 32-bit word of the answer.
kafka_brokers() {
  local answer
  exec 3<>"/dev/tcp/127.0.0.1/$kafka_port" || return 1
  printf '\0\0\0\16\0\3\0\0\0\0\0\1\377\377\0\0\0\0' >&3
  answer=$(timeout 5 head -c 12 <&3 | od -An -t u1 -j 11) || answer=''
  exec 3>&-
  printf '%d\n' "${answer:-0}"
}

kafka_log_config() {
  cat <<'CONF'
log4j.rootLogger=WARN, console
log4j.logger.kafka.server.KafkaRaftServer=INFO
log4j.appender.console=org.apache.log4j.ConsoleAppender
log4j.appender.console.layout=org.apache.log4j.PatternLayout
log4j.appender.console.layout.ConversionPattern=[%d] %p %m (%c)%n
CONF
}

kafka_config() {
  local listener
  cat <<CONF
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$kafka_controller_port
listeners=PLAINTEXT://127.0.0.1:$kafka_port,SASL_PLAINTEXT://127.0.0.1:$kafka_sasl_port,SSL://127.0.0.1:$kafka_tls_port,SASL_SSL://127.0.0.1:$kafka_sasl_tls_port,CONTROLLER://127.0.0.1:$kafka_controller_port
advertised.listeners=PLAINTEXT://127.0.0.1:$kafka_port,SASL_PLAINTEXT://127.0.0.1:$kafka_sasl_port,SSL://localhost:$kafka_tls_port,SASL_SSL://localhost:$kafka_sasl_tls_port
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs=$root/kafka/data
sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512,PLAIN
ssl.keystore.type=PKCS12
ssl.keystore.location=$tls/server.p12
ssl.keystore.password=changeit
ssl.key.password=changeit
ssl.truststore.type=PEM
ssl.truststore.location=$tls/ca.pem
ssl.client.auth=requested
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=true
super.users=User:ANONYMOUS
broker.heartbeat.interval.ms=1000
broker.session.timeout.ms=5000
num.network.threads=2
num.io.threads=2
num.partitions=4
background.threads=2
num.replica.fetchers=1
log.cleaner.threads=1
log.cleaner.dedupe.buffer.size=4194304
log.segment.bytes=67108864
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
auto.create.topics.enable=true
log.retention.hours=24
CONF
  for listener in sasl_plaintext sasl_ssl; do
    cat <<CONF
listener.name.$listener.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.$listener.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.$listener.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_test="test";
CONF
  done
}
