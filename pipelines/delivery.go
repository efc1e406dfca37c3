package pipelines

import (
	"fmt"

	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

// checkDelivery reads what the file wants to be promised.
func (l *loader) checkDelivery(d *yamldoc.Value) {
	if d.Kind() != yamldoc.KindScalar {
		l.context.WrongType(d, "at_least_once")
		return
	}
	word := d.Scalar()
	switch word.Text {
	case "at_least_once":
	case "exactly_once":
		l.prog.ExactlyOnce = true
	case "at_most_once":
		l.findings.Add(word.Whole(diag.NotAvailable, "delivery: at_most_once is not offered: what is acknowledged first is lost in a crash",
			"write delivery: at_least_once, or leave it out"))
	default:
		l.findings.Add(word.Whole(diag.BadValue, fmt.Sprintf("%q is no kind of delivery", word.Text), "write at_least_once"))
	}
}

// checkTransaction reports all that keeps exactly_once from being true: it takes one transaction that holds what is written and what is
// acknowledged. A part whose own findings kept it from being built says nothing here.
func (l *loader) checkTransaction() {
	if !l.prog.ExactlyOnce || l.damaged {
		return
	}
	const hint = "write delivery: at_least_once, or leave it out"
	var source *part
	for _, p := range l.parts {
		switch {
		case p.kind != sourcePart || l.prog.Sources[p.index].Connector == "":
		case source != nil:
			l.findings.Add(p.key.Whole(diag.ConflictingKey, "exactly_once takes one source, and there is "+source.name+" already", hint))
		case p.transaction.Where == "":
			l.findings.Add(p.key.Whole(diag.ConflictingKey, fmt.Sprintf("exactly_once is not possible here: %s cannot acknowledge in a transaction",
				p.connector), hint))
			return
		default:
			source = p
		}
	}
	if source == nil {
		return
	}
	var first *part
	for _, p := range l.parts {
		if p.kind != sinkPart || l.prog.Sinks[p.index].Connector == "" {
			continue
		}
		if why := whyNoTransaction(p, source.transaction, first); why != "" {
			l.findings.Add(p.key.Whole(diag.ConflictingKey, "exactly_once is not possible here: "+why, hint))
			continue
		}
		if first == nil {
			first = p
		}
	}
}

// whyNoTransaction says why a sink cannot share the source's transaction; first is a sink that can.
func whyNoTransaction(p *part, source config.Transaction, first *part) string {
	switch {
	case p.transaction.Where == "":
		return fmt.Sprintf("%s cannot write in a transaction of %s", p.connector, source.Show)
	case p.transaction.Where != source.Where:
		return fmt.Sprintf("%s is not the cluster and user of the source, %s, as they are written", p.transaction.Show, source.Show)
	case p.optional:
		return "an optional sink is not waited for"
	case first != nil && p.transaction.Terms != first.transaction.Terms:
		return fmt.Sprintf("sink %q has %s, this one %s, and one transaction has one", first.name, first.transaction.Terms, p.transaction.Terms)
	}
	return ""
}

// deliveryHash sets apart what a source or sink is when its delivery is another one.
func (l *loader) deliveryHash() string {
	if l.prog.ExactlyOnce {
		return "exactly_once"
	}
	return ""
}
