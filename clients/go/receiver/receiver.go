// Package receiver tells whether a request is Hookpost's, and what it says. It needs nothing but the standard library.
//
//	http.Handle("POST /hook", receiver.Receiver{Keys: keys}.Handler(func(r *http.Request, event *receiver.Event) error {
//		return store(event.ID, event.Type, event.Data)
//	}))
package receiver

import (
	"net/http"
	"time"
)

// Scheme is a way of signing; Hookpost signs every request in both.
type Scheme int

const (
	// Standard is Standard Webhooks 1.0: webhook-id, webhook-timestamp and webhook-signature, with protection from replay.
	Standard Scheme = iota
	// Hex is Logto's: HMAC-SHA256 of the body alone. It has no time, so an old request passes for ever.
	Hex
)

const (
	// DefaultTolerance is how far a request's time may be from the clock.
	DefaultTolerance = 5 * time.Minute
	// DefaultMaxSize is the size of the largest body, in bytes.
	DefaultMaxSize = 1 << 20
	// DefaultHexHeader carries the signature of the scheme Hex.
	DefaultHexHeader = "hookpost-signature-sha-256"
)

// Receiver verifies requests. Only Keys is required; it is safe for concurrent use.
type Receiver struct {
	Keys      []string         // signing keys; one that fits is enough, so give both during a rotation
	Scheme    Scheme           // default Standard
	HexHeader string           // header of the scheme Hex; default DefaultHexHeader
	Tolerance time.Duration    // to both sides; default DefaultTolerance
	MaxSize   int              // of the body, in bytes; default DefaultMaxSize
	Now       func() time.Time // default time.Now
}

// Verify returns the event of a request. `body` is what came over the wire, untouched. Every error is an *Error.
func (r Receiver) Verify(body []byte, header http.Header) (*Event, error) {
	if len(body) > r.maxSize() {
		return nil, tooLarge(r.maxSize())
	}
	var timestamp time.Time
	var err error
	if r.Scheme == Hex {
		err = r.verifyHex(body, header)
	} else {
		timestamp, err = r.verifyStandard(body, header)
	}
	if err != nil {
		return nil, err
	}
	return read(body, header, timestamp)
}

func (r Receiver) maxSize() int {
	if r.MaxSize > 0 {
		return r.MaxSize
	}
	return DefaultMaxSize
}

func (r Receiver) tolerance() time.Duration {
	if r.Tolerance > 0 {
		return r.Tolerance
	}
	return DefaultTolerance
}

func (r Receiver) hexHeader() string {
	if r.HexHeader != "" {
		return r.HexHeader
	}
	return DefaultHexHeader
}

func (r Receiver) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}
