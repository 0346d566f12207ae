package receiver

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const keyPrefix = "whsec_"

// Hookpost writes no white space at the beginning of its envelopes; a body that does was parsed and written anew.
var writtenAnew = regexp.MustCompile(`^\{(\s+"|"(event|type|specversion)":\s)`)

// verifyStandard returns when the attempt was made.
func (r Receiver) verifyStandard(body []byte, header http.Header) (time.Time, error) {
	keys, err := standardKeys(r.Keys)
	if err != nil {
		return time.Time{}, err
	}
	var values [3]string
	for i, name := range []string{"webhook-id", "webhook-timestamp", "webhook-signature"} {
		if values[i] = get(header, name); values[i] == "" {
			return time.Time{}, refuse(MissingHeader, "there is no header %s", name)
		}
	}
	seconds, ok := wholeSeconds(values[1])
	if !ok {
		return time.Time{}, refuse(BadTimestamp, "webhook-timestamp is not a number of seconds")
	}
	content := append([]byte(values[0]+"."+values[1]+"."), body...)
	var expected []string
	for _, key := range keys {
		expected = append(expected, "v1,"+base64.StdEncoding.EncodeToString(sign(key, content)))
	}
	if err := compare(expected, strings.Fields(values[2]), body); err != nil {
		return time.Time{}, err
	}
	return time.Unix(seconds, 0).UTC(), r.checkAge(seconds)
}

func (r Receiver) verifyHex(body []byte, header http.Header) error {
	var expected []string
	for _, key := range r.Keys {
		if key != "" {
			expected = append(expected, hex.EncodeToString(sign([]byte(key), body)))
		}
	}
	if len(expected) == 0 {
		return refuse(NoKey, "no signing key was given")
	}
	signature := get(header, r.hexHeader())
	if signature == "" {
		return refuse(MissingHeader, "there is no header %s", r.hexHeader())
	}
	return compare(expected, []string{signature}, body)
}

func (r Receiver) checkAge(seconds int64) error {
	age, tolerance := r.now().Unix()-seconds, int64(r.tolerance()/time.Second)
	if age > tolerance {
		return refuse(TooOld, "it was sent %d s ago; compare the clocks", age)
	}
	if age < -tolerance {
		return refuse(TooNew, "it was sent %d s ahead of this clock; compare the clocks", -age)
	}
	return nil
}

// compare takes the same time for every pair, wherever they differ.
func compare(expected, given []string, body []byte) error {
	fits := 0
	for _, ours := range expected {
		for _, theirs := range given {
			fits |= subtle.ConstantTimeCompare([]byte(ours), []byte(theirs))
		}
	}
	if fits == 1 {
		return nil
	}
	if writtenAnew.Match(body) {
		return parsed("it was written anew, with white space that Hookpost does not send")
	}
	return refuse(BadSignature, "no signature fits any of the keys")
}

// standardKeys are what `whsec_` encodes, else the text itself.
func standardKeys(keys []string) ([][]byte, error) {
	var decoded [][]byte
	for _, key := range keys {
		if key == "" {
			continue
		}
		secret := []byte(key)
		if encoded, found := strings.CutPrefix(key, keyPrefix); found {
			var err error
			secret, err = base64.RawStdEncoding.DecodeString(strings.TrimRight(encoded, "="))
			if err != nil || len(secret) == 0 {
				return nil, refuse(NoKey, "a signing key is not base64 after %q", keyPrefix)
			}
		}
		decoded = append(decoded, secret)
	}
	if len(decoded) == 0 {
		return nil, refuse(NoKey, "no signing key was given")
	}
	return decoded, nil
}

func sign(key, content []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(content)
	return mac.Sum(nil)
}

// get finds a header whatever the case of its name, also where the map was not made by net/http.
func get(header http.Header, name string) string {
	for key, values := range header {
		if strings.EqualFold(key, name) && len(values) > 0 {
			return values[0]
		}
	}
	return ""
}

func wholeSeconds(text string) (int64, bool) {
	if text == "" || len(text) > 11 || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	return seconds, err == nil
}
