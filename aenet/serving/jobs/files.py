"""Names of the files in a job's output folder."""

JOB, PHOTOS, SHARDS, SUCCESS, LOG = "job.json", "photos.parquet", "shards", "_SUCCESS", "computed.log"
