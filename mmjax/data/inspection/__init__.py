"""What `mmjax data` shows of the data, and its check of every sample."""
