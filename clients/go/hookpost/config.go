package hookpost

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// DefaultAddress is where `hookpost dev` listens.
const DefaultAddress = "127.0.0.1:50051"

// Config says where Hookpost is and who calls. What is empty comes from the environment.
type Config struct {
	Address string // host:port; else HOOKPOST_ADDRESS, else DefaultAddress
	APIKey  string // else HOOKPOST_API_KEY; none means no authorization header
	CAFile  string // certificates to trust instead of the system's, PEM; else HOOKPOST_CA_FILE. Asks for TLS on loopback too
	// Insecure allows plain text, API key included, to another host than this one. Loopback needs no leave.
	Insecure bool
	Timeout  time.Duration // of calls whose context has no deadline; default DefaultTimeout
}

func (c Config) apiKey() string { return cmp.Or(c.APIKey, os.Getenv("HOOKPOST_API_KEY")) }

// resolve chooses the address and TLS: everywhere but on loopback, unless told otherwise.
func (c Config) resolve() (string, credentials.TransportCredentials, error) {
	address := cmp.Or(c.Address, os.Getenv("HOOKPOST_ADDRESS"), DefaultAddress)
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return "", nil, fmt.Errorf("address %q: must be host:port", address)
	}
	caFile := cmp.Or(c.CAFile, os.Getenv("HOOKPOST_CA_FILE"))
	if c.Insecure && c.CAFile != "" {
		return "", nil, errors.New("CAFile and Insecure exclude each other")
	}
	if c.Insecure || caFile == "" && isLoopback(host) {
		return address, insecure.NewCredentials(), nil
	}
	settings := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile != "" {
		certificates, err := os.ReadFile(caFile)
		if err != nil {
			return "", nil, fmt.Errorf("CA file: %w", err)
		}
		settings.RootCAs = x509.NewCertPool()
		if !settings.RootCAs.AppendCertsFromPEM(certificates) {
			return "", nil, fmt.Errorf("CA file %s: holds no PEM certificate", caFile)
		}
	}
	return address, credentials.NewTLS(settings), nil
}

func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback() || strings.EqualFold(host, "localhost")
}
