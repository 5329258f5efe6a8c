def train(c,w): print("ok")
