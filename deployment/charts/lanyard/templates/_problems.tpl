{{/* What the schema cannot say, one problem a line: values that contradict each other, and those with which nothing can
     run. */}}
{{- define "lanyard.problems" -}}
{{- if and .Values.secrets (ne (int64 .Values.runAsUser) 0) }}
secrets: the kubelet makes their files root's, so that runAsUser cannot read them; set runAsUser: 0, or keep the files elsewhere
{{- end }}
{{- if or (hasKey .Values.podSecurityContext "runAsUser") (hasKey .Values.podSecurityContext "runAsNonRoot") (hasKey .Values.securityContext "runAsUser") (hasKey .Values.securityContext "runAsNonRoot") }}
podSecurityContext, securityContext: the user of the provider decides what it can read and where it can create sockets; set the value runAsUser, and remove runAsUser and runAsNonRoot here
{{- end }}
{{- if and .Values.tokenRequestNamespaces (not (include "lanyard.tokenRequest" .)) }}
tokenRequestNamespaces: has no effect without config.policy.tokenRequest: true; set that, or remove it
{{- end }}
{{- if and (or .Values.networkPolicy.enabled .Values.networkPolicy.egress.enabled) .Values.hostNetwork }}
networkPolicy: does not hold for pods on the host's network; turn it or hostNetwork off
{{- end }}
{{- if and .Values.networkPolicy.enabled (not .Values.networkPolicy.from) (or .Values.podMonitor.enabled .Values.serviceMonitor.enabled) }}
networkPolicy.from: is empty, so that nobody can scrape; name Prometheus' pods or namespace, or set networkPolicy.enabled: false
{{- end }}
{{- if and .Values.priorityClass.create (hasPrefix "system-" .Values.priorityClass.name) }}
priorityClass.name: names that begin with system- are Kubernetes' own; give the class that create: true makes another name
{{- end }}
{{- if .Values.sync.enabled }}
{{- if eq (include "lanyard.sync.serviceAccountName" .) (include "lanyard.serviceAccountName" .) }}
sync.serviceAccount.name: is the provider's service account, whose rights the controller's policies would limit; give the controller one of its own
{{- end }}
{{- if and .Values.sync.secretSyncs.crd (not .Values.sync.secretSyncs.enabled) }}
sync.secretSyncs.crd: has no effect without sync.secretSyncs.enabled: true; set that, or remove it
{{- end }}
{{- if and .Values.sync.admissionPolicies.requester (not .Values.sync.admissionPolicies.enabled) }}
sync.admissionPolicies.requester: has no effect without sync.admissionPolicies.enabled: true; set that, or remove it
{{- end }}
{{- end }}
{{- if .Values.inject.enabled }}
{{- if eq (int64 .Values.inject.port) (int64 .Values.admin.port) }}
inject.port: is admin.port too, and only one of the two can listen at {{ .Values.admin.port }}; change one
{{- end }}
{{- if and .Values.inject.networkPolicy.from (not .Values.networkPolicy.enabled) }}
inject.networkPolicy.from: has no effect with networkPolicy.enabled: false; set that to true, or remove it
{{- end }}
{{- end }}
{{- if and .Values.inject.certManager.issuer.name (not .Values.inject.certManager.enabled) }}
inject.certManager.issuer.name: has no effect without inject.certManager.enabled: true; set that, or remove it
{{- end }}
{{- include "lanyard.podProblems" (list $ "provider" "" .Values) }}
{{- include "lanyard.fileProblems" (list $ "provider" "" .Values) }}
{{- include "lanyard.memoryProblem" (list $ "provider" "" .Values 160) }}
{{- if .Values.sync.enabled }}
{{- include "lanyard.podProblems" (list $ "sync" "sync." .Values.sync) }}
{{- include "lanyard.fileProblems" (list $ "sync" "sync." .Values.sync) }}
{{- include "lanyard.memoryProblem" (list $ "sync" "sync." .Values.sync 96) }}
{{- end }}
{{- if .Values.inject.enabled }}
{{- include "lanyard.podProblems" (list $ "inject" "inject." .Values.inject) }}
{{- end }}
{{- include "lanyard.driverProblems" . }}
{{- end -}}

{{/* What the API server would refuse of a part's pods: (list $ PART PREFIX VALUES), where PREFIX is that of the values'
     names. */}}
{{- define "lanyard.podProblems" -}}
{{- $prefix := index . 2 -}}
{{- with index . 3 -}}
{{- if and (eq .dnsPolicy "None") (not (get .dnsConfig "nameservers")) }}
{{ $prefix }}dnsPolicy: None needs a server to ask; give {{ $prefix }}dnsConfig.nameservers
{{- end }}
{{- if and (get .securityContext "privileged") (not (get .securityContext "allowPrivilegeEscalation")) }}
{{ $prefix }}securityContext.privileged: Kubernetes refuses it while allowPrivilegeEscalation is false; set {{ $prefix }}securityContext.allowPrivilegeEscalation: true too, or remove it
{{- end }}
{{- $volumes := list "sockets" "config" "tls" -}}
{{- range .extraVolumes -}}
{{- $volumes = append $volumes .name -}}
{{- end -}}
{{- range .extraVolumeMounts }}
{{- if not (or (has .name $volumes) (regexMatch "^(secret|files|directory)-[0-9]+$" .name)) }}
{{ $prefix }}extraVolumeMounts: {{ .name }} is mounted at {{ .mountPath }}, and no volume has this name; add it to {{ $prefix }}extraVolumes
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Files that the configuration names and that no volume of the part's pods holds. */}}
{{- define "lanyard.fileProblems" -}}
{{- $ := first . -}}
{{- $part := index . 1 -}}
{{- $prefix := index . 2 -}}
{{- $values := index . 3 -}}
{{- $who := eq $part "provider" | ternary "the provider's pods" "the controller's pods" -}}
{{- $extra := printf "%sextraVolumes and %sextraVolumeMounts" $prefix $prefix -}}
{{- /* The image has the system's authorities. */ -}}
{{- $read := list "/etc/ssl/certs" "/var/run/secrets/kubernetes.io/serviceaccount" -}}
{{- $write := list -}}
{{- range $.Values.secrets -}}{{- $read = append $read (printf "/etc/lanyard/secrets/%s" .) -}}{{- end -}}
{{- range $.Values.configMaps -}}{{- $read = append $read (printf "/etc/lanyard/files/%s" .) -}}{{- end -}}
{{- if eq $part "provider" -}}{{- $read = concat $read $.Values.hostDirectories -}}{{- end -}}
{{- range $values.extraVolumeMounts -}}
{{- $read = append $read .mountPath -}}
{{- if not (get . "readOnly") -}}{{- $write = append $write .mountPath -}}{{- end -}}
{{- end -}}
{{- range include "lanyard.files" (list "config" (include "lanyard.config" (list $ $part) | fromYaml)) | splitList "\n" | compact }}
{{- $field := splitList " " . | first -}}
{{- $path := trimPrefix (printf "%s " $field) . -}}
{{- $writes := eq $field "config.audit.file.path" -}}
{{- $volume := regexFind "^/etc/lanyard/(secrets|files)/[^/]+/" $path -}}
{{- /* What is missing there is said of the provider. */ -}}
{{- $held := and $volume (ne $part "provider") -}}
{{- range $writes | ternary $write $read -}}
{{- if or (eq $path .) (hasPrefix (printf "%s/" (trimSuffix "/" .)) $path) -}}{{- $held = true -}}{{- end -}}
{{- end -}}
{{- if not $held }}
{{ $field }}: {{ $path }} is in no volume {{ $writes | ternary "that can be written, of" "of" }} {{ $who }};
{{- if $writes }} mount one with {{ $extra }}
{{- else if $volume }} add {{ index (splitList "/" $volume) 4 }} to {{ hasPrefix "/etc/lanyard/secrets" $volume | ternary "secrets" "configMaps" }}
{{- else if hasSuffix ".root" $field }} add it to hostDirectories, or mount it with {{ $extra }}
{{- else }} put it into a Secret or a ConfigMap that secrets or configMaps names, or mount it with {{ $extra }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* "FIELD PATH" for each file and directory that settings name, one a line: (list PREFIX SETTINGS). */}}
{{- define "lanyard.files" -}}
{{- $prefix := first . -}}
{{- $settings := last . -}}
{{- if kindIs "map" $settings -}}
{{- range $name, $value := $settings -}}
{{- $field := printf "%s.%s" $prefix $name -}}
{{- $names := or (regexMatch "(File|Dir)$" $name) (has $name (list "keyRing" "root")) (eq $field "config.audit.file.path") -}}
{{- if and (kindIs "string" $value) (hasPrefix "/" $value) $names }}
{{ $field }} {{ $value }}
{{- else }}
{{ include "lanyard.files" (list $field $value) }}
{{- end -}}
{{- end -}}
{{- else if kindIs "slice" $settings -}}
{{- range $i, $value := $settings }}
{{ include "lanyard.files" (list (printf "%s[%d]" $prefix $i) $value) }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A memory limit that cannot hold what the configuration lets the part take: a fifth item is the MiB beside that. */}}
{{- define "lanyard.memoryProblem" -}}
{{- $ := first . -}}
{{- $part := index . 1 -}}
{{- $prefix := index . 2 -}}
{{- $values := index . 3 -}}
{{- $beside := index . 4 -}}
{{- $config := include "lanyard.config" (list $ $part) | fromYaml -}}
{{- $limit := dig "limits" "memory" "" $values.resources -}}
{{- $cache := include "lanyard.bytes" (dig "cache" "bytes" "24Mi" $config) | int64 -}}
{{- $bound := include "lanyard.bytes" (dig "bounds" "memory" "64Mi" $config) | int64 -}}
{{- $need := add $cache $bound (mul $beside 1048576) -}}
{{- if and $limit (lt (include "lanyard.bytes" $limit | int64) $need) }}
{{ $prefix }}resources.limits.memory: is {{ $limit }}, and cache.bytes ({{ include "lanyard.mebibytes" $cache }}), bounds.memory ({{ include "lanyard.mebibytes" $bound }}) and {{ $beside }}Mi beside them take {{ include "lanyard.mebibytes" $need }}; raise it, or lower those in {{ $prefix }}config
{{- end }}
{{- end -}}

{{/* The bytes of a quantity of Kubernetes. */}}
{{- define "lanyard.bytes" -}}
{{- if kindIs "string" . -}}
{{- $units := dict "" 1 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- $number := regexFind "^[0-9.]+(e[0-9]+)?" . -}}
{{- mulf (float64 $number) (get $units (trimPrefix $number .) | default 1) | int64 -}}
{{- else -}}
{{- int64 . -}}
{{- end -}}
{{- end -}}

{{- define "lanyard.mebibytes" -}}{{ divf . 1048576 | ceil | int64 }}Mi{{- end -}}

{{/* What is wrong with the driver's chart in this one. */}}
{{- define "lanyard.driverProblems" -}}
{{- $driver := get .Values "secrets-store-csi-driver" -}}
{{- if $driver.install -}}
{{- if not (hasKey .Subcharts "secrets-store-csi-driver") }}
secrets-store-csi-driver.install: this copy of the chart does not hold the driver's; take the packaged one, which make chart makes from a checkout, or install the driver by itself
{{- else }}
{{- $directories := concat (list $driver.linux.providersDir) $driver.linux.additionalProvidersDirs -}}
{{- if not (has .Values.socketDirectory $directories) }}
socketDirectory: is {{ .Values.socketDirectory }}, and the driver looks into {{ join " and " $directories }} alone; take one of these, or add it to secrets-store-csi-driver.linux.additionalProvidersDirs
{{- end }}
{{- if not (include "lanyard.tokenRequest" .) }}
{{- $passed := list -}}
{{- range $driver.tokenRequests -}}{{- $passed = append $passed .audience -}}{{- end -}}
{{- range $audience, $for := include "lanyard.audiences" . | fromYaml -}}
{{- $pattern := printf "^%s$" (regexReplaceAll "PROJECT" (regexQuoteMeta $audience) "[^/]+") -}}
{{- $found := false -}}
{{- range $passed -}}{{- if regexMatch $pattern . -}}{{- $found = true -}}{{- end -}}{{- end -}}
{{- if not $found }}
secrets-store-csi-driver.tokenRequests: {{ join " and " $for }} read{{ eq (len $for) 1 | ternary "s" "" }} with a token for {{ $audience }}, which the driver is not set to pass; add {{ dict "audience" $audience | toJson }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}
