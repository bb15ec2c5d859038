type Environment = Readonly<Record<string, string | undefined>>;

const NAMES = new Set([
  "PATH",
  "HOME",
  "USER",
  "LOGNAME",
  "LANG",
  "TZ",
  "TMPDIR",
  "LD_LIBRARY_PATH",
  "XDG_CACHE_HOME",
  "SSL_CERT_FILE",
  "SSL_CERT_DIR",
]);
const PREFIXES = [
  "LC_",
  "CUDA_",
  "NVIDIA_",
  "NCCL_",
  "HIP_",
  "ROCR_",
  "ROCM_",
  "HSA_",
  "GGML_",
  "LLAMA_",
  "GPU_",
  "MTL_",
  "DYLD_",
  "VK_",
  "OMP_",
  "GOMP_",
];

/**
 * The environment of an engine: enough to find its libraries and devices, and none of the keys and tokens that the
 * daemon may have.
 */
export function engineEnvironment(env: Environment): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (value !== undefined && (NAMES.has(name) || PREFIXES.some((prefix) => name.startsWith(prefix))))
      kept[name] = value;
  }
  return kept;
}
