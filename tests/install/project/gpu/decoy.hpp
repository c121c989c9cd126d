#error "the user's own gpu/ folder was taken for berth's"
