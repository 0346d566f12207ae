// Package hookpost emits events to Hookpost.
//
//	client, err := hookpost.NewClient(hookpost.Config{Address: "hookpost.internal:443", APIKey: key})
//	emitted, err := client.Emit(ctx, hookpost.Event{Type: "User.Created", Payload: user})
package hookpost

import (
	"cmp"
	"context"
	_ "embed"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"

	"github.com/hookpost/hookpost/clients/go/hookpostv1"
)

// Version of this module.
const Version = "0.1.0"

// DefaultTimeout bounds a call whose context has no deadline, retries included.
const DefaultTimeout = 10 * time.Second

// A copy of proto/service_config.json: who is called again, and when.
//
//go:embed service_config.json
var serviceConfig string

// Client calls one Hookpost. It is safe for concurrent use; one a process is enough.
//
// The services are the whole API as generated; ErrorOf reads their errors.
type Client struct {
	Webhooks   hookpostv1.WebhookServiceClient
	Events     hookpostv1.EventServiceClient
	EventTypes hookpostv1.EventTypeServiceClient
	Deliveries hookpostv1.DeliveryServiceClient
	APIKeys    hookpostv1.ApiKeyServiceClient

	connection *grpc.ClientConn
	timeout    time.Duration
}

// NewClient makes a client; it connects at the first call. The error is about the configuration.
func NewClient(config Config) (*Client, error) {
	address, transport, apiKey, err := config.resolve()
	if err != nil {
		return nil, err
	}
	timeout := cmp.Or(config.Timeout, DefaultTimeout)
	connection, err := grpc.NewClient(address,
		grpc.WithTransportCredentials(transport),
		grpc.WithDefaultServiceConfig(serviceConfig),
		grpc.WithUserAgent("hookpost-go/"+Version),
		// As often as the server allows, and only while a call is under way.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 15 * time.Second}),
		grpc.WithChainUnaryInterceptor(authorizeCall(apiKey), limitCall(timeout)),
		grpc.WithChainStreamInterceptor(authorizeStream(apiKey)),
	)
	if err != nil {
		return nil, err
	}
	return &Client{
		Webhooks:   hookpostv1.NewWebhookServiceClient(connection),
		Events:     hookpostv1.NewEventServiceClient(connection),
		EventTypes: hookpostv1.NewEventTypeServiceClient(connection),
		Deliveries: hookpostv1.NewDeliveryServiceClient(connection),
		APIKeys:    hookpostv1.NewApiKeyServiceClient(connection),
		connection: connection,
		timeout:    timeout,
	}, nil
}

// Close ends the connection and all calls.
func (c *Client) Close() error { return c.connection.Close() }

func authorized(ctx context.Context, apiKey string) context.Context {
	if apiKey == "" {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+apiKey)
}

func authorizeCall(apiKey string) grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, request, reply any, connection *grpc.ClientConn,
		invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
		return invoke(authorized(ctx, apiKey), method, request, reply, connection, options...)
	}
}

func authorizeStream(apiKey string) grpc.StreamClientInterceptor {
	return func(ctx context.Context, description *grpc.StreamDesc, connection *grpc.ClientConn, method string,
		open grpc.Streamer, options ...grpc.CallOption) (grpc.ClientStream, error) {
		return open(authorized(ctx, apiKey), description, connection, method, options...)
	}
}

func limitCall(timeout time.Duration) grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, request, reply any, connection *grpc.ClientConn,
		invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
		if _, limited := ctx.Deadline(); !limited {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, timeout)
			defer cancel()
		}
		return invoke(ctx, method, request, reply, connection, options...)
	}
}
