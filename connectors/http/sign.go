package http

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // HMAC with SHA-1 is sound, and what some senders have
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"hash"
	nethttp "net/http"
	"strconv"
	"strings"
	"time"

	"github.com/millstream/millstream/pipelines/config"
)

// check decides whether a request comes from somebody who knows a secret. All comparisons take the same time for any wrong value.
type check interface {
	// early decides without the body; true lets the request go on.
	early(h nethttp.Header) bool
	// allows decides with the body as it was sent.
	allows(h nethttp.Header, body []byte, now time.Time) bool
	// ready tells that there is a secret.
	ready() bool
}

// hmacCheck is a signature of the body in hexadecimal digits.
type hmacCheck struct {
	header, algorithm string
	new               func() hash.Hash
	key               config.Secret
}

func newHMACCheck(c *HMAC) hmacCheck {
	k := hmacCheck{header: c.Header, algorithm: c.Algorithm, key: c.Secret, new: sha256.New}
	standard := "X-Hub-Signature-256"
	switch c.Algorithm {
	case "sha1":
		k.new, standard = sha1.New, "X-Hub-Signature"
	case "sha512":
		k.new, standard = sha512.New, "X-Hub-Signature-512"
	}
	if k.header == "" {
		k.header = standard
	}
	return k
}

func (k hmacCheck) ready() bool { return !k.key.IsZero() }

func (k hmacCheck) early(h nethttp.Header) bool {
	_, ok := parseSignature(h.Get(k.header), k.algorithm, k.new().Size())
	return ok
}

func (k hmacCheck) allows(h nethttp.Header, body []byte, _ time.Time) bool {
	got, ok := parseSignature(h.Get(k.header), k.algorithm, k.new().Size())
	if !ok || !k.ready() {
		return false
	}
	mac := hmac.New(k.new, []byte(k.key.Reveal()))
	mac.Write(body)
	return hmac.Equal(got, mac.Sum(nil))
}

// parseSignature reads sha256=0a1b… or 0a1b….
func parseSignature(text, algorithm string, size int) ([]byte, bool) {
	if name, digits, named := strings.Cut(text, "="); named {
		if name != algorithm {
			return nil, false
		}
		text = digits
	}
	if len(text) != 2*size {
		return nil, false
	}
	sum, err := hex.DecodeString(text)
	return sum, err == nil
}

// The headers of the Standard Webhooks specification, and the beginnings of a secret and of the signatures of its first version.
const (
	webhookID        = "Webhook-Id"
	webhookTimestamp = "Webhook-Timestamp"
	webhookSignature = "Webhook-Signature"
	secretPrefix     = "whsec_"
	versionPrefix    = "v1,"
)

// mostSignatures bounds how many signatures of one request are looked at: a sender has one more while it changes its secret.
const mostSignatures = 16

// signedCheck is a signature after the Standard Webhooks specification.
type signedCheck struct {
	key       []byte
	tolerance time.Duration
}

func newSignedCheck(c *Signed) (signedCheck, error) {
	k := signedCheck{tolerance: c.Tolerance}
	text, marked := strings.CutPrefix(c.Secret.Reveal(), secretPrefix)
	key, err := base64.StdEncoding.DecodeString(text)
	switch {
	case !marked:
		return k, errors.New("the secret does not begin with whsec_")
	case err != nil || len(key) == 0:
		return k, errors.New("the secret has no base64 behind whsec_")
	}
	k.key = key
	return k, nil
}

func (k signedCheck) ready() bool { return len(k.key) > 0 }

func (k signedCheck) early(h nethttp.Header) bool {
	return h.Get(webhookID) != "" && h.Get(webhookTimestamp) != "" && strings.HasPrefix(strings.TrimSpace(h.Get(webhookSignature)), "v")
}

func (k signedCheck) allows(h nethttp.Header, body []byte, now time.Time) bool {
	id, stamp := h.Get(webhookID), h.Get(webhookTimestamp)
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || !k.ready() || id == "" || now.Sub(time.Unix(seconds, 0)).Abs() > k.tolerance {
		return false
	}
	mac := hmac.New(sha256.New, k.key)
	mac.Write([]byte(id + "." + stamp + "."))
	mac.Write(body)
	want := mac.Sum(nil)
	good := false
	for i, one := range strings.Fields(h.Get(webhookSignature)) {
		if i == mostSignatures {
			break
		}
		text, ok := strings.CutPrefix(one, versionPrefix)
		got, err := base64.StdEncoding.DecodeString(text)
		if ok && err == nil && hmac.Equal(got, want) {
			good = true
		}
	}
	return good
}

// tokenCheck is a secret that stands in a header.
type tokenCheck struct {
	header string
	secret config.Secret
}

func (k tokenCheck) ready() bool { return !k.secret.IsZero() }

// early compares hashes, so that not even the length of the secret shows.
func (k tokenCheck) early(h nethttp.Header) bool {
	got, want := sha256.Sum256([]byte(h.Get(k.header))), sha256.Sum256([]byte(k.secret.Reveal()))
	return k.ready() && subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

func (k tokenCheck) allows(h nethttp.Header, _ []byte, _ time.Time) bool { return k.early(h) }
