// Code generated from the comments in provider/config/types.go by make golden; DO NOT EDIT.

package config

var fields = []Field{
	{"cluster", "Cluster is the name of this cluster in identities and in the scope of sealed values. While it is empty, sealed values with a cluster in their scope are refused."},
	{"stores", "Stores are the stores that classes may use by name without defining them. A class cannot change what is set here."},
	{"stores.<name>.type", "Type is the kind of store, such as vault or azure-key-vault."},
	{"stores.<name>.allow", "Allow lists the service accounts whose pods may use the store, each as \"namespace/service-account\", where \"*\" stands for any text within either side. Empty allows all for stores that read as the pod, and is refused for stores that read with the node's own credentials or files."},
	{"stores.<name>.override", "Override lists the operator's settings of this store that a class may replace: dotted names, each with the values allowed, where \"*\" stands for any text without a slash. The value of the class then wins."},
	{"stores.<name>.ignore", "Ignore lists the settings, by their dotted names, that a class may give for this store without effect, so that classes written for another provider work unchanged."},
	{"stores.<name>.…", "Fields are the store type's own settings."},
	{"policy", "Policy says what classes and pods may do."},
	{"policy.classStores", "ClassStores lets classes define stores of their own, which read with the pod's identity. When false, classes may use only the stores above."},
	{"policy.tokenRequest", "TokenRequest lets the provider ask the API server for a pod's token if the driver passed none for the audience. It needs the right to create serviceaccounts/token."},
	{"policy.readObjects", "ReadObjects lets the provider read two things from the API server where a class does not set them: the cloud role in the annotations of a pod's service account, and the region in the labels of its own node. It needs the right to get serviceaccounts and nodes."},
	{"cache", "Cache bounds the age and the memory of cached values."},
	{"cache.refresh", "Refresh is the age at which a value is read again, unless the object or the class sets another."},
	{"cache.startAge", "StartAge is the age up to which a pod that starts gets a value from memory. An older one is read first, so that the pod starts with what its store holds now; pods that start together share a read."},
	{"cache.staleOnError", "StaleOnError is how long past its refresh a value may be served while its store is unavailable (stale-if-error). The cache keeps values for that long, whether pods use them or not. Zero serves no stale value."},
	{"cache.idle", "Idle is how long a value without polls is kept and its lease renewed; staleOnError may keep the value for longer. Idle must be longer than the driver's interval between two polls."},
	{"cache.bytes", "Bytes is the maximum memory of cached values and volumes."},
	{"cache.versionKeySecret", "VersionKeySecret is the name of a Secret in the provider's own namespace: its field key is the key of the versions of objects, which are hashes of what their files hold. Serve makes the Secret if there is none. While the key is not known, mounts fail."},
	{"cache.versionKeyFile", "VersionKeyFile is a file of at least 32 random bytes, the same on all nodes, in place of that Secret. With neither, each start of the provider changes all versions once, and nodes show different ones."},
	{"bounds", "Bounds limit the cost of one request, of one class and of all together."},
	{"bounds.requestBytes", "RequestBytes is the maximum size of a mount request."},
	{"bounds.responseBytes", "ResponseBytes is the maximum size of a volume's files in total. The driver accepts messages of 4 MiB."},
	{"bounds.objects", "Objects is the maximum number of objects of one class."},
	{"bounds.mounts", "Mounts is the maximum number of mounts that read from stores at once; others queue. Namespaces share it. A mount served from memory does not count."},
	{"bounds.memory", "Memory is what mounts in flight may take beside the cache: answers while they are read, values, files and messages. Namespaces share it, each alone up to half."},
	{"bounds.storeCalls", "StoreCalls is the maximum number of concurrent calls to one store address. Namespaces share it."},
	{"bounds.mountTimeout", "MountTimeout bounds one mount. The kubelet gives up after about two minutes, and then no error text reaches the pod."},
	{"bounds.readTimeout", "ReadTimeout bounds one read, login and retries included."},
}
