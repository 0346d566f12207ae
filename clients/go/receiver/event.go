package receiver

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"
)

// Event is what a request says, all of it signed but for what is said to be informational.
type Event struct {
	ID         string          // the same at every attempt: do nothing twice for one ID (unsigned in Hex)
	Type       string          // such as "User.Created"; empty with the payload format RAW
	OccurTime  time.Time       // when it happened; zero with RAW
	Timestamp  time.Time       // when this attempt was made; zero with the scheme Hex
	Data       json.RawMessage // the payload, a JSON object
	DeliveryID string          // informational
	Attempt    int             // informational, from 1; 0 when unknown
	Body       []byte          // as received
}

// read takes a verified body apart. The type comes from there alone: other headers are not signed.
func read(body []byte, header http.Header, timestamp time.Time) (*Event, error) {
	var members map[string]json.RawMessage
	if !utf8.Valid(body) || json.Unmarshal(body, &members) != nil || members == nil {
		return nil, refuse(Malformed, "the body is not a JSON object")
	}
	event := &Event{
		ID:         get(header, "webhook-id"),
		Timestamp:  timestamp,
		DeliveryID: get(header, "hookpost-delivery"),
		Body:       body,
	}
	if attempt, err := strconv.Atoi(get(header, "hookpost-attempt")); err == nil && attempt > 0 {
		event.Attempt = attempt
	}
	var moment string
	switch {
	case all(members, "event", "createdAt", "hookId"):
		event.Type, moment = text(members["event"]), text(members["createdAt"])
		delete(members, "event")
		delete(members, "createdAt")
		delete(members, "hookId")
		event.Data, _ = json.Marshal(members)
	case all(members, "specversion"):
		event.Type, moment, event.Data = text(members["type"]), text(members["time"]), members["data"]
	case len(members) == 3 && all(members, "type", "timestamp", "data"):
		event.Type, moment, event.Data = text(members["type"]), text(members["timestamp"]), members["data"]
	default:
		event.Data = body
	}
	event.OccurTime, _ = time.Parse(time.RFC3339Nano, moment)
	return event, nil
}

func all(members map[string]json.RawMessage, names ...string) bool {
	for _, name := range names {
		if _, found := members[name]; !found {
			return false
		}
	}
	return true
}

func text(raw json.RawMessage) string {
	var value string
	_ = json.Unmarshal(raw, &value)
	return value
}
