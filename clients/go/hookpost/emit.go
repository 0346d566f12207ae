package hookpost

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hookpost/hookpost/clients/go/hookpostv1"
)

// Event is a fact to tell. Type and Payload are required.
type Event struct {
	Type     string
	Payload  any    // becomes a JSON object by encoding/json; []byte and json.RawMessage are sent as they are
	TenantID string // default: the server's, "default"
	// IdempotencyKey makes an event that is emitted again the first one. Default: a UUID made for this call, so that
	// its own retries never double it.
	IdempotencyKey string
	OccurTime      time.Time // default: when it is accepted
}

// Emitted says that an event is committed.
type Emitted struct {
	EventID       string
	DeliveryCount int  // webhooks that it goes to
	Duplicate     bool // the idempotency key was known, and EventID is the first event
}

// Emit sends one event and returns once it is committed. It waits for a server that is not there yet, and calls again
// one that is UNAVAILABLE, until the context's deadline or the client's timeout. Errors are *Error.
func (c *Client) Emit(ctx context.Context, event Event) (Emitted, error) {
	request, err := event.request()
	if err != nil {
		return Emitted{}, err
	}
	answer, err := c.Events.EmitEvent(ctx, request, grpc.WaitForReady(true))
	if err != nil {
		return Emitted{}, failed(err, request.GetIdempotencyKey())
	}
	return emitted(answer), nil
}

// EmitBatch sends up to 1000 events of one tenant; all of them are committed, or none. What is answered is in their
// order.
func (c *Client) EmitBatch(ctx context.Context, events []Event) ([]Emitted, error) {
	batch := &hookpostv1.BatchEmitEventsRequest{}
	for _, event := range events {
		request, err := event.request()
		if err != nil {
			return nil, err
		}
		batch.TenantId = cmp.Or(batch.GetTenantId(), request.GetTenantId())
		batch.Requests = append(batch.Requests, request)
	}
	answer, err := c.Events.BatchEmitEvents(ctx, batch, grpc.WaitForReady(true))
	if err != nil {
		return nil, ErrorOf(err)
	}
	all := make([]Emitted, len(answer.GetResponses()))
	for i, each := range answer.GetResponses() {
		all[i] = emitted(each)
	}
	return all, nil
}

func emitted(answer *hookpostv1.EmitEventResponse) Emitted {
	return Emitted{answer.GetEventId(), int(answer.GetDeliveryCount()), answer.GetDuplicate()}
}

func (e Event) request() (*hookpostv1.EmitEventRequest, error) {
	payload, err := encoded(e.Payload)
	if err != nil {
		return nil, &Error{
			Code: codes.InvalidArgument, Reason: "FIELD_INVALID", Message: "the payload is not JSON",
			Violations: []FieldViolation{{"payload", err.Error()}},
		}
	}
	request := &hookpostv1.EmitEventRequest{
		Type:           e.Type,
		TenantId:       e.TenantID,
		Payload:        &hookpostv1.EmitEventRequest_Json{Json: string(payload)},
		IdempotencyKey: e.IdempotencyKey,
	}
	if e.IdempotencyKey == "" {
		request.IdempotencyKey = uuid.NewString()
	}
	if !e.OccurTime.IsZero() {
		request.OccurTime = timestamppb.New(e.OccurTime)
	}
	return request, nil
}

func encoded(payload any) ([]byte, error) {
	switch payload := payload.(type) {
	case []byte:
		return payload, nil
	case json.RawMessage:
		return payload, nil
	}
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(payload)
	return bytes.TrimSuffix(buffer.Bytes(), []byte("\n")), err
}
