package remote

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc/credentials"
)

// handshakeTime bounds one handshake.
const handshakeTime = 5 * time.Second

// Dial opens a connection, as net.Dialer.DialContext does.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// DialTLS returns what http.Transport calls DialTLSContext: a dial and a handshake
// with the host of the address, or the configuration's ServerName. It offers
// HTTP/2, as the Transport itself would.
func (t *Trust) DialTLS(dial Dial) Dial {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		plain, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		config := t.Config()
		config.NextProtos = []string{"h2", "http/1.1"}
		if config.ServerName == "" {
			config.ServerName = host
		}
		limited, cancel := context.WithTimeout(ctx, handshakeTime)
		defer cancel()
		secure := tls.Client(plain, config)
		if err := secure.HandshakeContext(limited); err != nil {
			_ = plain.Close() //nolint:errcheck // the handshake's error is what matters
			if limited.Err() != nil && ctx.Err() == nil {
				return nil, errors.New("no TLS handshake within " + handshakeTime.String())
			}
			return nil, explained(err)
		}
		return secure, nil
	}
}

// explained adds the remedy to the error of a handshake.
func explained(err error) error {
	var (
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		header    tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &authority):
		return fmt.Errorf("%w; if the server has a certificate of your own authority, give that in tls.caCert", err)
	case errors.As(err, &host):
		return fmt.Errorf("%w; check the host in the settings, or give a name of the certificate in tls.serverName where they have it", err)
	case errors.As(err, &header):
		return fmt.Errorf("%w; the server does not speak TLS on this port", err)
	}
	return err
}

// Credentials are gRPC's for the configuration.
func (t *Trust) Credentials() credentials.TransportCredentials {
	return following{credentials.NewTLS(t.Config()), t}
}

// following are credentials that are made anew for each handshake.
type following struct {
	credentials.TransportCredentials
	trust *Trust
}

func (f following) ClientHandshake(ctx context.Context, host string, plain net.Conn) (net.Conn, credentials.AuthInfo, error) {
	secure, info, err := credentials.NewTLS(f.trust.Config()).ClientHandshake(ctx, host, plain)
	return secure, info, explained(err)
}

func (f following) Clone() credentials.TransportCredentials { return f }
