package hookpost

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/hookpost/hookpost/clients/go/hookpostv1"
)

// DefaultWindow is how many events of an Emitter may be unanswered; a further one waits.
const DefaultWindow = 1000

// How long to wait before the stream is opened again; the last one repeats, ±50 %.
var delays = []time.Duration{
	100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second,
}

// Emitter emits over one stream, at a fraction of what a call for each event costs: for producers of many events. It is
// safe for concurrent use, and pays when many goroutines emit at once.
//
// It opens the stream again when it breaks. What was not answered is sent again, each event under the idempotency key
// that it got at first: it is accepted once.
type Emitter struct {
	client *Client
	room   chan struct{} // holds one for each event that is unanswered
	ctx    context.Context
	cancel context.CancelFunc
	ended  chan struct{}
	filled chan struct{} // rings when there is something to send

	lock     sync.Mutex
	sequence uint64
	waiting  map[uint64]*pending
	outbox   []uint64
}

// pending is an event whose answer has not come.
type pending struct {
	request *hookpostv1.StreamEmitEventsRequest
	answer  chan outcome // has room for one
}

type outcome struct {
	emitted Emitted
	err     *Error
}

// NewEmitter opens an emitter with room for `window` unanswered events, DefaultWindow if 0. Close it.
func (c *Client) NewEmitter(window int) *Emitter {
	if window <= 0 {
		window = DefaultWindow
	}
	ctx, cancel := context.WithCancel(context.Background())
	e := &Emitter{
		client: c, room: make(chan struct{}, window), ctx: ctx, cancel: cancel,
		ended: make(chan struct{}), filled: make(chan struct{}, 1), waiting: map[uint64]*pending{},
	}
	go e.run()
	return e
}

// Emit returns once the event is committed, as Client.Emit does. Errors are *Error; after DEADLINE_EXCEEDED the event
// may have been accepted: emitted again with the error's IdempotencyKey, the answer tells.
func (e *Emitter) Emit(ctx context.Context, event Event) (Emitted, error) {
	request, err := event.request()
	if err != nil {
		return Emitted{}, err
	}
	if _, limited := ctx.Deadline(); !limited {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, e.client.timeout)
		defer cancel()
	}
	key := request.GetIdempotencyKey()
	closed := &Error{Code: codes.Canceled, Message: "the emitter was closed", IdempotencyKey: key}
	select {
	case e.room <- struct{}{}:
		defer func() { <-e.room }()
	case <-ctx.Done():
		return Emitted{}, failed(expired(ctx), key)
	case <-e.ctx.Done():
		return Emitted{}, closed
	}
	waiting := &pending{&hookpostv1.StreamEmitEventsRequest{Event: request}, make(chan outcome, 1)}
	sequence := e.add(waiting)
	defer e.remove(sequence)
	select {
	case answer := <-waiting.answer:
		if answer.err != nil {
			return Emitted{}, failed(answer.err, key)
		}
		return answer.emitted, nil
	case <-ctx.Done():
		return Emitted{}, failed(expired(ctx), key)
	case <-e.ctx.Done():
		return Emitted{}, closed
	}
}

// Close ends the stream; emits that still wait fail with CANCELLED.
func (e *Emitter) Close() {
	e.cancel()
	<-e.ended
}

func (e *Emitter) add(waiting *pending) uint64 {
	e.lock.Lock()
	defer e.lock.Unlock()
	e.sequence++
	waiting.request.Sequence = e.sequence
	e.waiting[e.sequence] = waiting
	e.send(e.sequence)
	return e.sequence
}

func (e *Emitter) remove(sequence uint64) {
	e.lock.Lock()
	defer e.lock.Unlock()
	delete(e.waiting, sequence)
}

// send queues; the caller holds the lock.
func (e *Emitter) send(sequence uint64) {
	e.outbox = append(e.outbox, sequence)
	e.ring()
}

func (e *Emitter) ring() {
	select {
	case e.filled <- struct{}{}:
	default:
	}
}

// run makes one call after the other, as long as there is something to send.
func (e *Emitter) run() {
	defer close(e.ended)
	failures := 0
	for e.wait(e.filled) {
		answered, err := e.converse()
		if answered {
			failures = 0
		}
		if lasting(err) {
			e.fail(ErrorOf(err))
		}
		delay := delays[min(failures, len(delays)-1)]
		failures++
		select {
		case <-time.After(time.Duration(float64(delay) * (0.5 + rand.Float64()))):
		case <-e.ctx.Done():
			return
		}
	}
}

func (e *Emitter) wait(filled <-chan struct{}) bool {
	select {
	case <-filled:
		return true
	case <-e.ctx.Done():
		return false
	}
}

// lasting errors come again with every call; others pass.
func lasting(err error) bool {
	if err == nil {
		return false
	}
	switch ErrorOf(err).Code {
	case codes.Unauthenticated, codes.PermissionDenied, codes.Unimplemented, codes.InvalidArgument:
		return true
	}
	return false
}

// fail answers all that wait.
func (e *Emitter) fail(err *Error) {
	e.lock.Lock()
	defer e.lock.Unlock()
	for sequence, waiting := range e.waiting {
		delete(e.waiting, sequence)
		waiting.answer <- outcome{err: err}
	}
}
