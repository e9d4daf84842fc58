package lab

import (
	"context"
	"os"

	"github.com/lanyardhq/lanyard/integration/cluster"
	"github.com/lanyardhq/lanyard/integration/postgres"
)

const postgresFile = "postgres.json"

func (l *Lab) startPostgres(ctx context.Context) error {
	dir := l.Path("postgres")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	server, err := postgres.Prepare(ctx, dir)
	if err != nil {
		return err
	}
	l.Postgres = server
	if err := l.Start(cluster.Part{Name: "postgres", Command: server.Command(), User: server.Credential}); err != nil {
		return err
	}
	if err := l.save(postgresFile, server); err != nil {
		return err
	}
	return server.Await(ctx)
}

func (l *Lab) connectPostgres() error { return l.load(postgresFile, &l.Postgres) }
