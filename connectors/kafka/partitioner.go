package kafka

import "github.com/twmb/franz-go/pkg/kgo"

// partitioner lets a record choose its partition, and else does what Kafka's own clients do: murmur2 of the key, and without a key a
// partition for a while.
type partitioner struct{ usual kgo.Partitioner }

func newPartitioner() kgo.Partitioner {
	return partitioner{kgo.UniformBytesPartitioner(64<<10, true, true, nil)}
}

// ForTopic implements kgo.Partitioner.
func (p partitioner) ForTopic(topic string) kgo.TopicPartitioner {
	usual, ok := p.usual.ForTopic(topic).(kgo.TopicBackupPartitioner)
	if !ok {
		return p.usual.ForTopic(topic)
	}
	return topicPartitioner{usual}
}

type topicPartitioner struct{ kgo.TopicBackupPartitioner }

// RequiresConsistency implements kgo.TopicPartitioner.
func (p topicPartitioner) RequiresConsistency(r *kgo.Record) bool {
	return r.Partition != anyPartition || p.TopicBackupPartitioner.RequiresConsistency(r)
}

// PartitionByBackup implements kgo.TopicBackupPartitioner.
func (p topicPartitioner) PartitionByBackup(r *kgo.Record, n int, backup kgo.TopicBackupIter) int {
	if r.Partition != anyPartition {
		return int(r.Partition)
	}
	return p.TopicBackupPartitioner.PartitionByBackup(r, n, backup)
}
