#error "the user's own runtime/ folder was taken for berth's"
