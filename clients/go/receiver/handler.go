package receiver

import (
	"context"
	"errors"
	"io"
	"net/http"
)

type contextKey struct{}

// Handler verifies each request and gives its event to `handle`. It answers 204, or 500 when `handle` fails, so that
// Hookpost tries again. Answer within the webhook's timeout (10 s by default): longer work belongs in a queue.
func (r Receiver) Handler(handle func(request *http.Request, event *Event) error) http.Handler {
	return r.Middleware(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if err := handle(request, FromContext(request.Context())); err != nil {
			http.Error(w, "the event could not be handled", http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}))
}

// Middleware lets only verified requests through to `next`, which finds the event by FromContext. Refused ones are
// answered with the error's status and reason.
func (r Receiver) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		event, err := r.VerifyRequest(request)
		var refusal *Error
		if errors.As(err, &refusal) {
			http.Error(w, refusal.Error(), refusal.Status())
			return
		}
		next.ServeHTTP(w, request.WithContext(context.WithValue(request.Context(), contextKey{}, event)))
	})
}

// VerifyRequest reads the body and verifies it. Every error is an *Error.
func (r Receiver) VerifyRequest(request *http.Request) (*Event, error) {
	if request.Body == nil {
		request.Body = http.NoBody
	}
	body, err := io.ReadAll(io.LimitReader(request.Body, int64(r.maxSize())+1))
	var cut *http.MaxBytesError
	switch {
	case errors.As(err, &cut):
		return nil, tooLarge(int(cut.Limit))
	case len(body) == 0 && request.ContentLength > 0:
		return nil, parsed("something else has read the request")
	case err != nil:
		return nil, refuse(Malformed, "the body broke off")
	}
	return r.Verify(body, request.Header)
}

// FromContext is the event of a request that Middleware let through; nil elsewhere.
func FromContext(ctx context.Context) *Event {
	event, _ := ctx.Value(contextKey{}).(*Event)
	return event
}
