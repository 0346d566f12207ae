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
	// Address is host:port, with https:// or http:// before it to say whether by TLS; without, TLS is on unless the host
	// is this machine. Else HOOKPOST_ADDRESS, else DefaultAddress.
	Address    string
	APIKey     string        // else HOOKPOST_API_KEY, else the content of the file HOOKPOST_API_KEY_FILE
	CAFile     string        // PEM of the authorities to trust instead of the system's; else HOOKPOST_CA
	CertFile   string        // PEM, for a server that asks for a client's certificate; else HOOKPOST_CLIENT_CERT
	KeyFile    string        // likewise; else HOOKPOST_CLIENT_KEY
	ServerName string        // if the server's certificate is for another name than the address has
	Insecure   bool          // allows the API key to go to another machine without TLS
	Timeout    time.Duration // of calls whose context has no deadline; default DefaultTimeout
}

func (c Config) apiKey() (string, error) {
	if key := cmp.Or(c.APIKey, strings.TrimSpace(os.Getenv("HOOKPOST_API_KEY"))); key != "" {
		return key, nil
	}
	name := os.Getenv("HOOKPOST_API_KEY_FILE")
	if name == "" {
		return "", nil
	}
	content, err := os.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("HOOKPOST_API_KEY_FILE: %w", err)
	}
	return strings.TrimSpace(string(content)), nil
}

// resolve returns the address as gRPC has it, the credentials and the API key.
func (c Config) resolve() (string, credentials.TransportCredentials, string, error) {
	given := cmp.Or(c.Address, os.Getenv("HOOKPOST_ADDRESS"), DefaultAddress)
	address, secure := strings.CutPrefix(given, "https://")
	address, open := strings.CutPrefix(address, "http://")
	address = strings.TrimRight(address, "/")
	local := strings.HasPrefix(address, "unix:")
	if !local {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return "", nil, "", fmt.Errorf("address %q: must be host:port", given)
		}
		local = isLoopback(host)
	}
	key, err := c.apiKey()
	if err != nil {
		return "", nil, "", err
	}
	if secure || !open && !local {
		settings, err := c.tls()
		return address, credentials.NewTLS(settings), key, err
	}
	if key != "" && !local && !c.Insecure {
		return "", nil, "", fmt.Errorf("the API key would go to %s without TLS: say https://, or Insecure if the way is safe",
			address)
	}
	return address, insecure.NewCredentials(), key, nil
}

func (c Config) tls() (*tls.Config, error) {
	settings := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.ServerName}
	if name := cmp.Or(c.CAFile, os.Getenv("HOOKPOST_CA")); name != "" {
		certificates, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("CA file: %w", err)
		}
		settings.RootCAs = x509.NewCertPool()
		if !settings.RootCAs.AppendCertsFromPEM(certificates) {
			return nil, fmt.Errorf("CA file %s: holds no PEM certificate", name)
		}
	}
	certificate := cmp.Or(c.CertFile, os.Getenv("HOOKPOST_CLIENT_CERT"))
	key := cmp.Or(c.KeyFile, os.Getenv("HOOKPOST_CLIENT_KEY"))
	if (certificate == "") != (key == "") {
		return nil, errors.New("CertFile and KeyFile belong together")
	}
	if certificate != "" {
		pair, err := tls.LoadX509KeyPair(certificate, key)
		if err != nil {
			return nil, fmt.Errorf("client certificate: %w", err)
		}
		settings.Certificates = []tls.Certificate{pair}
	}
	return settings, nil
}

func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback() || strings.EqualFold(host, "localhost")
}
