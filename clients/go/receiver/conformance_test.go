package receiver

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"reflect"
	"testing"
	"time"
)

type vector struct {
	Name       string            `json:"name"`
	Scheme     string            `json:"scheme"`
	Keys       []string          `json:"keys"`
	Tolerance  int               `json:"tolerance"`
	Now        int64             `json:"now"`
	Header     string            `json:"header"`
	Headers    map[string]string `json:"headers"`
	BodyBase64 []byte            `json:"body_base64"`
	MaxSize    int               `json:"max_size"`
	Expect     struct {
		Reason Reason         `json:"reason"`
		Event  map[string]any `json:"event"`
	} `json:"expect"`
}

func load(t *testing.T, name string, into any) {
	t.Helper()
	content, err := os.ReadFile("../../conformance/" + name)
	if err == nil {
		err = json.Unmarshal(content, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestVerification(t *testing.T) {
	var vectors struct{ Cases []vector }
	load(t, "verification.json", &vectors)
	for _, each := range vectors.Cases {
		t.Run(each.Name, func(t *testing.T) {
			receiver := Receiver{
				Keys:      each.Keys,
				Scheme:    map[string]Scheme{"standard": Standard, "hex": Hex}[each.Scheme],
				HexHeader: each.Header,
				Tolerance: time.Duration(each.Tolerance) * time.Second,
				MaxSize:   each.MaxSize,
				Now:       func() time.Time { return time.Unix(each.Now, 0) },
			}
			header := http.Header{}
			for name, value := range each.Headers {
				header[name] = []string{value}
			}
			event, err := receiver.Verify(each.BodyBase64, header)
			if each.Expect.Event == nil {
				var refusal *Error
				if !errors.As(err, &refusal) || refusal.Reason != each.Expect.Reason {
					t.Fatalf("%v, not %s", err, each.Expect.Reason)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if told := tell(t, event); !reflect.DeepEqual(told, each.Expect.Event) {
				t.Fatalf("\n%v, not\n%v", told, each.Expect.Event)
			}
		})
	}
}

// tell writes an event as the vectors do.
func tell(t *testing.T, event *Event) map[string]any {
	t.Helper()
	var data any
	if err := json.Unmarshal(event.Data, &data); err != nil {
		t.Fatal(err)
	}
	told := map[string]any{
		"id": event.ID, "type": event.Type, "data": data, "delivery_id": event.DeliveryID,
		"timestamp": nil, "occur_time": nil, "attempt": nil,
	}
	if !event.Timestamp.IsZero() {
		told["timestamp"] = float64(event.Timestamp.Unix())
	}
	if !event.OccurTime.IsZero() {
		told["occur_time"] = float64(event.OccurTime.Unix())
	}
	if event.Attempt != 0 {
		told["attempt"] = float64(event.Attempt)
	}
	return told
}

func TestSigning(t *testing.T) {
	var vectors struct {
		Cases []struct {
			Key, ID, Body, Standard, Hex string
			Timestamp                    json.Number
		}
	}
	load(t, "signing.json", &vectors)
	for _, each := range vectors.Cases {
		keys, err := standardKeys([]string{each.Key})
		if err != nil {
			t.Fatal(err)
		}
		content := []byte(each.ID + "." + each.Timestamp.String() + "." + each.Body)
		if got := "v1," + base64.StdEncoding.EncodeToString(sign(keys[0], content)); got != each.Standard {
			t.Errorf("%s, not %s", got, each.Standard)
		}
		if got := hex.EncodeToString(sign([]byte(each.Key), []byte(each.Body))); got != each.Hex {
			t.Errorf("%s, not %s", got, each.Hex)
		}
	}
}
