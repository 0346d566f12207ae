package hookpost

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hookpost/hookpost/clients/go/hookpostv1"
)

// Error is what went wrong with a call.
type Error struct {
	Code       codes.Code
	Reason     string           // a name of hookpostv1.ErrorReason without its prefix; empty when no Hookpost answered
	Message    string           // for people
	Violations []FieldViolation // every wrong field at once
	RetryDelay time.Duration    // what the server asks to wait for; 0 when it does not say
	// IdempotencyKey of the emit that failed; empty for other calls and for batches.
	IdempotencyKey string
}

// FieldViolation is one wrong field.
type FieldViolation struct {
	Field       string // a path such as "requests[2].json"
	Description string
}

func (e *Error) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("%s: %s", e.Code, e.Message)
	}
	return fmt.Sprintf("%s (%s): %s", e.Code, e.Reason, e.Message)
}

// Retryable tells whether the same call, an emit under the same idempotency key, may succeed later.
func (e *Error) Retryable() bool {
	switch e.Code {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
		return true
	case codes.ResourceExhausted:
		return e.Reason != "LIMIT_EXCEEDED"
	case codes.Aborted:
		return e.Reason != "ETAG_MISMATCH"
	default:
		return false
	}
}

// GRPCStatus lets status.Code and status.FromError read an *Error.
func (e *Error) GRPCStatus() *status.Status { return status.New(e.Code, e.Message) }

// ErrorOf reads any error of a call, those of the generated services too; nil stays nil.
func ErrorOf(err error) *Error {
	var known *Error
	if err == nil || errors.As(err, &known) {
		return known
	}
	answer, ok := status.FromError(err)
	if !ok {
		answer = status.FromContextError(err)
	}
	read := &Error{Code: answer.Code(), Message: answer.Message()}
	for _, detail := range answer.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			read.Reason = detail.GetReason()
		case *errdetails.BadRequest:
			for _, each := range detail.GetFieldViolations() {
				read.Violations = append(read.Violations, FieldViolation{each.GetField(), each.GetDescription()})
			}
		case *errdetails.RetryInfo:
			read.RetryDelay = detail.GetRetryDelay().AsDuration()
		}
	}
	return read
}

// IsReason tells whether an error has a reason, such as "EVENT_TYPE_UNKNOWN".
func IsReason(err error, reason string) bool {
	return err != nil && ErrorOf(err).Reason == reason
}

func reasonName(reason hookpostv1.ErrorReason) string {
	return strings.TrimPrefix(reason.String(), "ERROR_REASON_")
}

func failed(err error, idempotencyKey string) error {
	read := *ErrorOf(err)
	read.IdempotencyKey = idempotencyKey
	return &read
}

func expired(ctx context.Context) error { return status.FromContextError(ctx.Err()).Err() }
