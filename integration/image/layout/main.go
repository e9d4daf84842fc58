// Command layout builds Lanyard's image and writes it as an OCI layout.
//
//	go run ./image/layout -version v1.2.3 -commit $(git rev-parse HEAD) -created $(git log -1 --format=%ct) -out ../bin/image
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/lanyardhq/lanyard/integration/image"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1) //nolint:gocritic // the handler of a signal ends with the process
	}
}

func run(ctx context.Context) error {
	var opts image.Options
	var out, archive, name, tag, platforms string
	var created int64
	flag.StringVar(&opts.Source, "source", "..", "root of Lanyard's source")
	flag.StringVar(&opts.Certificates, "certificates", image.DebianCertificates, "directory of root certificates, *.crt")
	flag.StringVar(&opts.Version, "version", "", "what lanyard version shows")
	flag.StringVar(&opts.Commit, "commit", "", "the commit that lanyard version shows")
	flag.Int64Var(&created, "created", 0, "time that the image bears, in seconds since 1970")
	flag.StringVar(&platforms, "architectures", "amd64,arm64", "what to build for")
	flag.StringVar(&name, "name", "ghcr.io/lanyardhq/lanyard", "repository that the image is to be called by")
	flag.StringVar(&tag, "tag", "latest", "tag that the image is to be called by")
	flag.StringVar(&out, "out", "", "directory to write the OCI layout to")
	flag.StringVar(&archive, "archive", "", "file to write the layout to as well, as a tar archive")
	flag.Parse()
	if out == "" || flag.NArg() > 0 {
		return errors.New("give -out and no arguments; see -help")
	}
	opts.Created = time.Unix(created, 0)
	opts.Architectures = strings.Split(platforms, ",")

	index, err := image.Build(ctx, opts)
	if err != nil {
		return err
	}
	if err := image.WriteLayout(out, name, tag, index); err != nil {
		return err
	}
	if archive != "" {
		// Docker's classic store takes one image: this machine's, if there is one.
		architecture := opts.Architectures[0]
		if slices.Contains(opts.Architectures, runtime.GOARCH) {
			architecture = runtime.GOARCH
		}
		if err := image.WriteArchive(archive, out, architecture, opts.Created); err != nil {
			return err
		}
	}
	digest, err := index.Digest()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(os.Stdout, "%s:%s@%s\n", name, tag, digest)
	return err
}
