package engine

// fault names a rule that a test breaks on purpose, to show that the simulation notices. In production nothing is ever broken.
type fault uint8

const (
	faultAckEarly        fault = iota + 1 // settle a batch before its sinks have answered
	faultNoResend                         // leave what followed a failure as it was sent
	faultIgnoreHeld                       // hand over records whose key is held
	faultReleaseEarly                     // release a key while batches handed over before it are unconfirmed
	faultSettleLeft                       // settle records with a branch that was left
	faultCountTwice                       // count a settled record twice
	faultLetterUnaware                    // settle a dead letter without waiting for its sink
	faultLetterOffered                    // let an optional sink take a dead letter or not
	faultNoBudget                         // take batches whatever the limits say
	faultDropOnDrain                      // settle what a drain gave up
	faultSwitchUndrained                  // exchange sinks while messages to them are in flight
	faultOldIndexes                       // give a new revision the sinks in the order of the old one
	faultDropOnReload                     // settle what a reload gave up
	faultJoinUnordered                    // hand over what was computed side by side as it came
)

// breaks reports whether a test asked for a rule to be broken.
func (p *pipeline) breaks(f fault) bool { return p.engine.broken != nil && p.engine.broken(f) }
