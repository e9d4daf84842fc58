// Package person finds the own credentials of the person, or of the CI job, who
// runs a command: where the product's own tools find them, so that who can use
// vault, aws, az or gcloud needs nothing more. It is for commands alone. Nothing
// that serves pods may import it: what it finds depends on the environment, on
// files below the home folder and on programs that those name.
//
// Each function returns at once. Tokens and files are looked for when they are
// needed, so that a command that needs no credential reads none.
package person

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"

	"github.com/lanyardhq/lanyard/internal/nodefile"
	"github.com/lanyardhq/lanyard/provider/backend/vault"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// maxToken bounds a token of Vault.
const maxToken = 64 << 10

// Vault is the token and the server that the vault command would use, by the
// variables VAULT_ADDR, VAULT_NAMESPACE, VAULT_CACERT and VAULT_TOKEN.
// https://developer.hashicorp.com/vault/docs/commands#configure-environment-variables
func Vault() *vault.Person {
	return &vault.Person{
		Token:   vaultToken,
		Address: os.Getenv("VAULT_ADDR"), Namespace: os.Getenv("VAULT_NAMESPACE"), CACertFile: os.Getenv("VAULT_CACERT"),
	}
}

// vaultToken is the token of the variable VAULT_TOKEN, or of the file
// ~/.vault-token, which vault login writes.
func vaultToken() (secret.Bytes, error) {
	if token := os.Getenv("VAULT_TOKEN"); token != "" {
		return secret.NewString(token), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return secret.Bytes{}, errors.New("VAULT_TOKEN is not set, and there is no home folder with a file .vault-token; log in with vault login, or set VAULT_TOKEN")
	}
	path := filepath.Join(home, ".vault-token")
	token, err := nodefile.Read(path, maxToken)
	token = bytes.TrimSpace(token)
	if err == nil && len(token) == 0 {
		err = errors.New(path + " is empty")
	}
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("VAULT_TOKEN is not set, and %w; log in with vault login, or set VAULT_TOKEN", err)
	}
	return secret.New(token), nil
}

// AWS are the credentials that the AWS CLI would use: of the environment, of
// the profile (AWS_PROFILE) with its single sign-on or program, or of the
// machine's role.
// https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html
func AWS() awssdk.CredentialsProvider {
	return awssdk.CredentialsProviderFunc(func(ctx context.Context) (awssdk.Credentials, error) {
		found, err := config.LoadDefaultConfig(ctx)
		if err != nil {
			return awssdk.Credentials{}, err
		}
		return found.Credentials.Retrieve(ctx)
	})
}

// Azure is the identity that Microsoft's own tools would use: of the AZURE_*
// variables, of the machine, or of who logged in with az or azd.
// https://learn.microsoft.com/azure/developer/go/sdk/authentication/credential-chains#defaultazurecredential-overview
func Azure() azcore.TokenCredential { return &azure{} }

type azure struct {
	once sync.Once
	made *azidentity.DefaultAzureCredential
	err  error
}

// GetToken implements azcore.TokenCredential.
func (a *azure) GetToken(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	a.once.Do(func() {
		// The vault says of which tenant the token must be.
		a.made, a.err = azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{AdditionallyAllowedTenants: []string{"*"}})
	})
	if a.err != nil {
		return azcore.AccessToken{}, a.err
	}
	return a.made.GetToken(ctx, options)
}

// Google are the Application Default Credentials for a scope: of the file in
// GOOGLE_APPLICATION_CREDENTIALS, of gcloud auth application-default login, or
// of the machine.
// https://cloud.google.com/docs/authentication/application-default-credentials
func Google(scope string) oauth2.TokenSource { return application{scope} }

type application struct{ scope string }

// Token implements oauth2.TokenSource.
func (a application) Token() (*oauth2.Token, error) {
	found, err := google.FindDefaultCredentials(context.Background(), a.scope)
	if err != nil {
		return nil, err
	}
	return found.TokenSource.Token()
}
