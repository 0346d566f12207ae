package receiver

import (
	"fmt"
	"net/http"
)

// Reason is why a request is refused.
type Reason string

// The reasons; the same words in every language.
const (
	MissingHeader Reason = "missing_header" // a header of the scheme is not there
	BadTimestamp  Reason = "bad_timestamp"  // webhook-timestamp is not a whole number of seconds
	TooOld        Reason = "too_old"        // sent longer ago than the tolerance
	TooNew        Reason = "too_new"        // sent later than now and the tolerance
	BadSignature  Reason = "bad_signature"  // no key made any of the signatures
	Malformed     Reason = "malformed"      // the signature fits, but the body is not an event
	BodyParsed    Reason = "body_parsed"    // the body was parsed before verification
	NoKey         Reason = "no_key"         // no usable key was given
	TooLarge      Reason = "too_large"      // the body is over the limit
)

// Error is a refusal. Its text is for logs and never quotes a key.
type Error struct {
	Reason  Reason
	Message string
}

func (e *Error) Error() string { return string(e.Reason) + ": " + e.Message }

// Status is the HTTP status to answer. Faults of the receiver itself are 500, so that Hookpost tries again.
func (e *Error) Status() int {
	switch e.Reason {
	case NoKey, BodyParsed:
		return http.StatusInternalServerError
	case TooLarge:
		return http.StatusRequestEntityTooLarge
	case Malformed:
		return http.StatusBadRequest
	default:
		return http.StatusUnauthorized
	}
}

func parsed(why string) error {
	const text = "the body was parsed before verification (%s); give the bytes of the request as they came"
	return refuse(BodyParsed, text, why)
}

func tooLarge(most int) error {
	return refuse(TooLarge, "the body has more than %d bytes", most)
}

func refuse(reason Reason, format string, values ...any) error {
	return &Error{reason, fmt.Sprintf(format, values...)}
}
