package hookpost

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/hookpost/hookpost/clients/go/hookpostv1"
)

type stream = grpc.BidiStreamingClient[hookpostv1.StreamEmitEventsRequest, hookpostv1.StreamEmitEventsResponse]

// converse makes one call, until the server ends it; it tells whether anything was answered.
func (e *Emitter) converse() (answered bool, err error) {
	ctx, cancel := context.WithCancel(e.ctx)
	defer cancel()
	call, err := e.client.Events.StreamEmitEvents(ctx)
	if err != nil {
		e.ring()
		return false, err
	}
	e.requeue()
	writing := make(chan struct{})
	go func() {
		defer close(writing)
		e.write(ctx, call)
	}()
	for {
		response, err := call.Recv()
		if err != nil {
			cancel()
			<-writing
			e.requeue()
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return answered, err
		}
		answered = true
		for _, result := range response.GetResults() {
			e.take(result)
		}
	}
}

// requeue: what the last call left unanswered, and what came since, oldest first.
func (e *Emitter) requeue() {
	e.lock.Lock()
	defer e.lock.Unlock()
	e.outbox = e.outbox[:0]
	for sequence := range e.waiting {
		e.outbox = append(e.outbox, sequence)
	}
	slices.Sort(e.outbox)
	if len(e.outbox) > 0 {
		e.ring()
	}
}

// write sends what is queued until the call ends; a broken call is told by Recv.
func (e *Emitter) write(ctx context.Context, call stream) {
	for {
		for request := e.next(); request != nil; request = e.next() {
			if call.Send(request) != nil {
				return
			}
		}
		select {
		case <-e.filled:
		case <-ctx.Done():
			return
		}
	}
}

func (e *Emitter) next() *hookpostv1.StreamEmitEventsRequest {
	e.lock.Lock()
	defer e.lock.Unlock()
	for len(e.outbox) > 0 {
		sequence := e.outbox[0]
		e.outbox = e.outbox[1:]
		if waiting := e.waiting[sequence]; waiting != nil {
			return waiting.request
		}
	}
	return nil
}

func (e *Emitter) take(result *hookpostv1.StreamEmitEventsResult) {
	e.lock.Lock()
	defer e.lock.Unlock()
	sequence := result.GetSequence()
	waiting := e.waiting[sequence]
	if waiting == nil {
		return
	}
	refusal := result.GetError()
	if refusal.GetRetryDelay() != nil {
		time.AfterFunc(refusal.GetRetryDelay().AsDuration(), func() {
			e.lock.Lock()
			defer e.lock.Unlock()
			e.send(sequence)
		})
		return
	}
	delete(e.waiting, sequence)
	if refusal == nil {
		waiting.answer <- outcome{emitted: emitted(result.GetResponse())}
		return
	}
	waiting.answer <- outcome{err: &Error{
		Code:    codes.Code(refusal.GetCode()),
		Reason:  reasonName(refusal.GetReason()),
		Message: refusal.GetMessage(),
	}}
}
