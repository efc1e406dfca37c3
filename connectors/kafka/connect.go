package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millstream/millstream/flow"
)

// probe is a client for looking: it consumes and produces nothing.
func (c *cluster) probe(host flow.Host) (*kgo.Client, error) {
	opts, release, err := c.clientOptions(host, newQuiet(host.Logger()))
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		_ = release()
		return nil, flow.Errorf(flow.ConfigError, flow.CodeInvalidName, "kafka: %w", err)
	}
	return client, nil
}

// connect tries what a source needs: the brokers, the topics, and the group.
func (c *Source) connect(cl cluster, topics *selection) func(context.Context, flow.Host) error {
	return func(ctx context.Context, host flow.Host) error {
		probe, err := cl.probe(host)
		if err != nil {
			return err
		}
		defer probe.Close()
		if err := cl.checkOpen(ctx, probe, topics.names); err != nil {
			return err
		}
		return cl.checkGroup(ctx, probe, c.Group)
	}
}

// connect tries what a sink needs: the brokers and, when there is one, the topic. One that Open would make may be missing.
func (c *Sink) connect(cl cluster, p *preparer) func(context.Context, flow.Host) error {
	return func(ctx context.Context, host flow.Host) error {
		probe, err := cl.probe(host)
		if err != nil {
			return err
		}
		defer probe.Close()
		if p.constant == "" {
			return cl.checkOpen(ctx, probe, nil)
		}
		if c.Create != nil {
			if err := cl.checkOpen(ctx, probe, nil); err != nil {
				return err
			}
			d := newDestinations(&cl, c)
			d.pretend = true
			if err := d.make(ctx, probe, p.constant); err != nil {
				return err
			}
		} else if err := cl.checkOpen(ctx, probe, []string{p.constant}); err != nil {
			return err
		}
		return p.checkPartition(ctx, probe)
	}
}

// checkPartition looks whether the topic, if it is there, has the partition that the file names.
func (p *preparer) checkPartition(ctx context.Context, client *kgo.Client) error {
	if p.partition == nil {
		return nil
	}
	v, ok := p.partition.Constant()
	if !ok {
		return nil
	}
	found, err := lookAt(ctx, client, &selection{names: []string{p.constant}})
	if err != nil {
		return classify(err)
	}
	if topic, ok := found[p.constant]; ok && v.Int() >= int64(topic.partitions) {
		return flow.Errorf(flow.ConfigError, flow.CodeRefused, "topic %q has no partition %d; it has %d, counted from 0", p.constant, v.Int(), topic.partitions)
	}
	return nil
}

// checkGroup looks whether the group may be read. A group that nobody has used is fine.
func (c *cluster) checkGroup(ctx context.Context, client *kgo.Client, group string) error {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	for {
		// A cluster that has just been started has no coordinator until the first group asks for one.
		err := c.describeGroup(ctx, client, group)
		if !isAny(err, kerr.CoordinatorNotAvailable, kerr.CoordinatorLoadInProgress, kerr.NotCoordinator) {
			return err
		}
		select {
		case <-time.After(coordinatorPause):
		case <-ctx.Done():
			return err
		}
	}
}

// coordinatorPause is between two questions to a coordinator that is not there yet.
const coordinatorPause = 200 * time.Millisecond

func (c *cluster) describeGroup(ctx context.Context, client *kgo.Client, group string) error {
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Groups = []string{group}
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return c.openError(err)
	}
	for i := range resp.Groups {
		err := kerr.ErrorForCode(resp.Groups[i].ErrorCode)
		if err == nil || isAny(err, kerr.GroupIDNotFound) {
			continue
		}
		return classify(fmt.Errorf("group %q at %s: %w", group, c.names(), err))
	}
	return nil
}

// leaveTimeout bounds the farewell to a group.
const leaveTimeout = 3 * time.Second

// leave takes the member out of its group, so that the others have its partitions at once: a member with a name of its own would keep
// them for the session timeout else. It leaves as the member that it was: another process that has taken its place stays.
func (s *source) leave(ctx context.Context, member string) {
	if s.cfg.OnStop == "stay" || member == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, leaveTimeout)
	defer cancel()
	client, err := s.cluster.probe(s.host)
	if err == nil {
		defer client.Close()
		req := kmsg.NewPtrLeaveGroupRequest()
		req.Group = s.cfg.Group
		m := kmsg.NewLeaveGroupRequestMember()
		m.MemberID, m.InstanceID = member, kmsg.StringPtr(s.member())
		req.Members = append(req.Members, m)
		var resp *kmsg.LeaveGroupResponse
		if resp, err = req.RequestWith(ctx, client); err == nil {
			err = leaveError(resp)
		}
	}
	if err != nil {
		s.host.Logger().Warn("the group was not left; its partitions are free once the session timeout has passed", "group", s.cfg.Group, "error", err)
	}
}

func leaveError(resp *kmsg.LeaveGroupResponse) error {
	err := kerr.ErrorForCode(resp.ErrorCode)
	for i := range resp.Members {
		if err == nil {
			err = kerr.ErrorForCode(resp.Members[i].ErrorCode)
		}
	}
	if isAny(err, kerr.UnknownMemberID, kerr.FencedInstanceID) {
		return nil // the group has let go of it already
	}
	return err
}
