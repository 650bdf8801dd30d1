"""Many runs: seeds times sizes times parameters, over processes or a cluster, resumable."""
