package aws

import (
	"errors"

	"github.com/lanyardhq/lanyard/provider/backend/aws"
	"github.com/lanyardhq/lanyard/provider/fault"
)

// explain turns the SDK's error into one of package fault's kinds, by the names
// that KMS has for errors.
// https://docs.aws.amazon.com/kms/latest/APIReference/API_Decrypt.html#API_Decrypt_Errors
func explain(err error) *aws.CallError {
	f := aws.Explain(err)
	switch f.Code {
	case "InvalidCiphertextException", "IncorrectKeyException":
		f.Kind = fault.ErrInvalid
		f.Text = "the ciphertext was changed, is another key's, or is bound to another context (" + f.Code + ")"
	case "DisabledException":
		f.Kind, f.Text = fault.ErrInvalid, f.Text+"; the key is disabled: enable it (aws kms enable-key)"
	case "KMSInvalidStateException":
		f.Kind, f.Text = fault.ErrInvalid, f.Text+"; if the key is to be deleted, cancel that at once (aws kms cancel-key-deletion, then enable-key)"
	case "KeyUnavailableException":
		f.Kind = fault.ErrUnavailable
	case "InvalidKeyUsageException", "UnsupportedOperationException":
		f.Kind, f.Text = fault.ErrInvalid, f.Text+"; the key must be a symmetric encryption key (SYMMETRIC_DEFAULT)"
	case "NotFoundException":
		f.Kind, f.Text = fault.ErrNotFound, f.Text+"; check the ARN, or restore the alias"
	}
	if errors.Is(f, fault.ErrDenied) {
		f.Text += "; the role's policy and the key's must both allow the action, for this encryption context where they look at it"
	}
	return f
}
