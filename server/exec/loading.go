package exec

import "strings"

// loading are the variables that decide which code a program loads or runs, or whom it
// trusts, by who reads them; a star at either end stands for the rest of a name, and case
// does not matter, as for npm and proxies. --all does not set them: the names of objects may
// be those of keys in a store, and who may write a secret there is not to run code in the
// pods that read it.
var loading = []string{
	// The dynamic linker and the C library: https://man7.org/linux/man-pages/man8/ld.so.8.html
	// and those that it removes for setuid programs (secure-execution mode).
	"LD_*", "GLIBC_TUNABLES", "GCONV_PATH", "GETCONF_DIR", "HOSTALIASES", "LOCALDOMAIN", "LOCPATH", "MALLOC_*", "NIS_PATH", "NLSPATH", "RESOLV_HOST_CONF", "RES_OPTIONS", "TMPDIR", "TZDIR",
	// Shells: https://www.gnu.org/software/bash/manual/html_node/Bash-Variables.html
	"PATH", "IFS", "ENV", "BASH_*", "BASHOPTS", "SHELLOPTS", "SHELL", "HOME", "XDG_*", "CDPATH", "PS4", "PROMPT_COMMAND", "EDITOR", "VISUAL", "PAGER", "MANPAGER", "LESSOPEN", "LESSCLOSE", "ZDOTDIR",
	// Languages, and the start scripts that take options of their program from NAME_OPTS.
	"*_OPTS", "*_JAVA_OPTIONS", "JAVA_HOME", "JAVA_TOOL_OPTIONS", "CLASSPATH", "SPRING_*",
	"GODEBUG", "GOTRACEBACK", "GOFLAGS", "GOPROXY", "GOTOOLCHAIN", "RUSTC*", "RUSTFLAGS", "CARGO_*",
	"PYTHON*", "PIP_*", "GUNICORN_*", "UWSGI_*", "PERL*", "RUBYOPT", "RUBYLIB", "GEM_HOME", "GEM_PATH", "BUNDLE_*",
	"NODE_OPTIONS", "NODE_PATH", "NODE_EXTRA_CA_CERTS", "NODE_TLS_REJECT_UNAUTHORIZED", "NPM_CONFIG_*", "YARN_*",
	"DOTNET_*", "CORECLR_*", "COMPLUS_*", "ASPNETCORE_HOSTINGSTARTUPASSEMBLIES", "PHPRC", "PHP_INI_SCAN_DIR", "LUA_*", "ERL_*", "R_PROFILE", "R_ENVIRON", "JULIA_*", "MAKEFLAGS",
	// Programs that other programs start, and whom and what they trust.
	"GIT_*", "SSH_ASKPASS", "SUDO_ASKPASS", "OPENSSL_*", "SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE", "CURL_CA_BUNDLE", "CURL_HOME", "REQUESTS_CA_BUNDLE", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
	"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "KUBECONFIG", "DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_TLS_VERIFY",
	"AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CA_BUNDLE", "AWS_ENDPOINT_URL*", "PGSSL*", "PGSERVICEFILE", "PGSYSCONFDIR", "VAULT_SKIP_VERIFY", "VAULT_CACERT",
}

// decidesWhatRuns says that a variable is one of loading.
func decidesWhatRuns(name string) bool {
	name = strings.ToUpper(name)
	for _, pattern := range loading {
		family, begins := strings.CutSuffix(pattern, "*")
		rest, ends := strings.CutPrefix(pattern, "*")
		if name == pattern || begins && strings.HasPrefix(name, family) || ends && strings.HasSuffix(name, rest) {
			return true
		}
	}
	return false
}
