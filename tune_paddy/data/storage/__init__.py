"""Storage that several machines share: a shared folder, or an object store such as S3."""
